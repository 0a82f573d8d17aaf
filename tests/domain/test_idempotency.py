"""A key is read as the draft has it and bare, and means one thing in one scope."""

from __future__ import annotations

import pytest

from evertill.domain.errors import IdempotencyKeyInvalid, IdempotencyKeyMissing
from evertill.domain.idempotency import read_key, scope_digest


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("order 1", "order 1"),
        ("k" * 255, "k" * 255),
        ('"' + "k" * 255 + '"', "k" * 255),
    ],
)
def test_the_quoted_and_the_bare_form_name_the_same_key(header: str, key: str) -> None:
    assert key == read_key(header)


@pytest.mark.parametrize("header", ["", '""', " ", "k" * 256, "k\x7f", "schlüssel", "a\nb"])
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        read_key(header)


def test_no_header_is_told_apart_from_a_bad_one() -> None:
    with pytest.raises(IdempotencyKeyMissing):
        read_key(None)


def test_merchant_operation_target_and_key_each_make_another_scope() -> None:
    scopes = [
        (1, "create", "", "k"),
        (2, "create", "", "k"),
        (1, "capture", "", "k"),
        (1, "create", "pay_1", "k"),
        (1, "create", "", "k2"),
    ]
    assert len(scopes) == len({scope_digest(*scope) for scope in scopes})

"""Card numbers are found where a person would find them, and hardly anywhere else."""

from __future__ import annotations

import pytest

from evertill.domain.cards import holds_card_number, redact

# The networks' published test numbers.
VISA = "4111111111111111"


@pytest.mark.parametrize(
    "number",
    [
        VISA,
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "3056930009020004",
        "3566002020360505",
        "6200000000000005",
    ],
)
def test_test_numbers_of_the_networks_are_found(number: str) -> None:
    assert holds_card_number(number)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "card: 4111111111111111.",
        "ref 12 4111111111111111",
        "4111111111111111 12/29 123",
        "4111\u00a01111\u00a01111\u00a01111",
        "４１１１１１１１１１１１１１１１",  # noqa: RUF001 - full-width digits are the point
        "x-4111111111111111",
    ],
)
def test_a_number_is_found_whatever_it_is_wrapped_in(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "411111111111111",
        "9111111111111111",
        "a4111111111111111",
        "4111111111111111b",
        "41111111111111110000",
        "4111  1111  1111  1111",
        "order-1001",
        "",
    ],
)
def test_what_is_no_whole_valid_number_is_let_through(text: str) -> None:
    assert not holds_card_number(text)


def test_redaction_takes_any_long_run_of_digits() -> None:
    assert "a [digits] b" == redact("a 9999 9999 9999 9999 b")
    assert "order 123456789012" == redact("order 123456789012")

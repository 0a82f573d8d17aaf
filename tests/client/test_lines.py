"""Reading lines: which become payments, with which key, and what each reject says."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from evertill.client.lines import (
    LINE_MAX_BYTES,
    CsvParser,
    Line,
    NdjsonParser,
    Reader,
    key_of,
    read_lines,
)
from evertill.domain.errors import InvalidRequest

HEADER = b"amount,currency,source,reference,description,merchant,capture"


def csv_item(text: str | bytes) -> dict[str, Any]:
    return item_of(CsvParser(HEADER, "f.csv"), text)


def json_item(text: str | bytes) -> dict[str, Any]:
    return item_of(NdjsonParser(), text)


def item_of(parser: Any, text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    entry = Reader(parser, "digest").entry(Line(7, raw, 0, is_whole=True))
    item: dict[str, Any] = msgspec.json.decode(entry.encoded)
    return item


def test_a_line_becomes_a_batch_item_in_minor_units() -> None:
    assert csv_item('10.99,USD,tok_1,r-1,"a, b",Shop,false\r\n') == {
        "amount": 1099,
        "currency": "USD",
        "source": "tok_1",
        "capture": False,
        "reference": "r-1",
        "description": "a, b",
        "idempotency_key": "r-1",
    }


def test_the_merchant_describes_a_payment_without_a_description() -> None:
    assert csv_item("1,JPY,tok_1,,,Shop,")["description"] == "Shop"


@pytest.mark.parametrize(
    ("text", "amount"), [('"10.99"', 1099), ("10.99", 1099), ("10", 1000), ("0.01", 1)]
)
def test_json_amounts_are_read_exactly_as_written(text: str, amount: int) -> None:
    item = json_item(f'{{"amount":{text},"currency":"USD","source":"t"}}')
    assert (amount, "file-digest-line-7") == (item["amount"], item["idempotency_key"])


def test_columns_are_found_by_name_in_any_order_and_case() -> None:
    parser = CsvParser(b"\xef\xbb\xbfSource, AMOUNT ,Currency,note\r\n", "f.csv")
    assert item_of(parser, "tok_1, 1.10 ,EUR,x")["amount"] == 110
    assert parser.unread == ["note"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-1,USD,t,,,,", "invalid_request"),
        ("1.105,USD,t,,,,", "invalid_request"),
        ("0,USD,t,,,,", "invalid_request"),
        ("10000000000.00,USD,t,,,,", "invalid_request"),
        ("NaN,USD,t,,,,", "invalid_request"),
        ("1,ZZZ,t,,,,", "unknown_currency"),
        ("1,USD,,,,,", "invalid_request"),
        ("1,USD,a b,,,,", "invalid_request"),
        ("1,USD,4111111111111111,,,,", "card_number_refused"),
        ("1,USD,t,4111-1111-1111-1111,,,", "card_number_refused"),
        ("1,USD,t,,,,maybe", "invalid_request"),
        ("1,USD,t", "malformed_line"),
        ('1,USD,t,,"x,,', "malformed_line"),
        (b"1,USD,t,,\xff,,", "not_utf8"),
        ("1,USD,t,,a\0b,,", "invalid_request"),
    ],
)
def test_a_bad_csv_line_is_refused_without_echoing_its_source(line: str | bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        csv_item(line)
    assert code == caught.value.code
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "7",
        "{",
        '{"amount":NaN,"currency":"USD","source":"t"}',
        '{"currency":"USD","source":"t"}',
        '{"amount":1,"amount":2,"currency":"USD","source":"t"}',
        '{"amount":1,"currency":"USD","source":7}',
        '{"amount":"1","currency":"USD","source":"t"} x',
    ],
)
def test_a_bad_json_line_is_refused_as_malformed(line: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        json_item(line)
    assert caught.value.code == "malformed_line"


@pytest.mark.parametrize("amount", ["1e400", "1e2", "true", "null", "{}", '"\\ud800"', '"1\\n"'])
def test_a_json_amount_that_is_no_plain_decimal_is_refused(amount: str) -> None:
    with pytest.raises(InvalidRequest):
        json_item(f'{{"amount":{amount},"currency":"USD","source":"t"}}')


def test_a_reference_that_is_no_header_value_is_hashed_into_a_key() -> None:
    keys = [key_of(reference, "d", 1) for reference in ("größe", '"quoted"', " padded", "plain 1")]
    assert [key.startswith("reference-") for key in keys] == [True, True, True, False]
    assert len(set(keys)) == 4


def test_lines_are_counted_with_blank_ones_and_end_where_the_next_begins() -> None:
    data = b"a\r\n\r\nb\nc"
    found = list(read_lines(io.BytesIO(data), len(data), 0, 0))
    assert [line.number for line in found] == [1, 3, 4]
    again = list(read_lines(io.BytesIO(data), len(data), found[0].end_offset, found[0].number))
    assert found[1:] == again


@pytest.mark.parametrize("length", [LINE_MAX_BYTES + d for d in (-2, -1, 0, 1, LINE_MAX_BYTES)])
def test_an_overlong_line_costs_itself_and_not_the_next(length: int) -> None:
    data = b"x" * length + b"\nnext\n"
    first, second = read_lines(io.BytesIO(data), len(data), 0, 0)
    assert (length < LINE_MAX_BYTES, b"next\n", 2) == (first.is_whole, second.raw, second.number)


def test_what_is_added_behind_the_known_size_is_not_read() -> None:
    found = list(read_lines(io.BytesIO(b"a\nb\nc\n"), 4, 0, 0))
    assert [line.raw for line in found] == [b"a\n", b"b\n"]

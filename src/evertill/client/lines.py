"""Reading the lines of a file of payments, each as the batch item that it asks for.

It is separate from the import so that what makes a line a payment, and what makes it a reject, can
be read and tested without a service. A payment is one physical line: no field may hold a line end,
so a quote that never closes costs its own line and no other.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO, Final, Protocol

import msgspec

from evertill.client.faults import FileUnusable, LineMalformed, LineNotUtf8, LineTooLong
from evertill.client.wire import (
    DESCRIPTION_LENGTH_MAX,
    REFERENCE_LENGTH_MAX,
    SOURCE_LENGTH_MAX,
    BatchItem,
)
from evertill.domain.cards import holds_card_number
from evertill.domain.errors import CardNumberRefused, InvalidRequest
from evertill.domain.money import AMOUNT_MINOR_MAX, exponent, to_major, to_minor

LINE_MAX_BYTES: Final = 64 * 1024
NAMED_COLUMNS_MAX: Final = 8
NEEDED: Final = ("amount", "currency", "source")
OPTIONAL: Final = ("reference", "description", "merchant", "capture")
BOM: Final = b"\xef\xbb\xbf"
UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")

_SOURCE: Final = re.compile(r"[!-~]+")
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]+")
# A reference that is no plain header value, or looks quoted like one, is hashed into a key.
_PLAIN_KEY: Final = re.compile(r"[!#-~](?:[ -~]*[!-~])?")
_CAPTURES: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("", "true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0"), False),
}
_CHARACTERS: Final[Mapping[str, str]] = {
    "source": "must be a token: printable ASCII without spaces",
    "reference": "may not hold control characters",
    "description": "may not hold control characters",
}


class Line(msgspec.Struct, frozen=True):
    """A line that is not blank: its number from 1, its text, and the file's offset behind it.

    `raw` is cut at the bound when the line is longer; `is_whole` is then false.
    """

    number: int
    raw: bytes
    end_offset: int
    is_whole: bool


class Entry(msgspec.Struct, frozen=True):
    """A line as a payment to send: `encoded` is the whole batch item, `key` the key inside it."""

    line: int
    key: str
    reference: str
    encoded: bytes


class LineParser(Protocol):
    """Turns one line into its named fields."""

    def fields(self, raw: bytes) -> Mapping[str, str]:
        """Return the fields by name; raise LineMalformed when the line cannot be read."""


def read_lines(stream: BinaryIO, size: int, offset: int, number: int) -> Iterator[Line]:
    """Yield the lines after line `number`, which ends at `offset`, up to `size` bytes.

    The bound keeps out what is added to the file while it is read. Never holds more than one line.
    """
    stream.seek(offset)
    while offset < size:
        raw = stream.readline(min(LINE_MAX_BYTES, size - offset))
        if not raw:
            return
        offset += len(raw)
        number += 1
        is_whole = raw.endswith(b"\n") or offset == size
        while not is_whole:
            rest = stream.readline(min(LINE_MAX_BYTES, size - offset))
            offset += len(rest)
            if not rest or rest.endswith(b"\n") or offset == size:
                break
        if raw.strip():
            yield Line(number, raw, offset, is_whole)


class CsvParser:
    """Reads lines under the names of a header line."""

    def __init__(self, header: bytes, name: str) -> None:
        """Take the column names of `header`; raise FileUnusable when it lacks what is needed."""
        columns = [column.strip().lower() for column in _split(_text(header, name))]
        missing = [column for column in NEEDED if column not in columns]
        if missing:
            raise FileUnusable(_lacking(name, missing))
        twice = {column for column in columns if columns.count(column) > 1}
        if twice & {*NEEDED, *OPTIONAL}:
            message = f"{name} has two columns '{min(twice & {*NEEDED, *OPTIONAL})}'; keep one."
            raise FileUnusable(message)
        self._columns = columns
        self.unread = [column for column in columns if column not in {*NEEDED, *OPTIONAL}]

    def fields(self, raw: bytes) -> Mapping[str, str]:
        """Return the fields by column name, without white space around them."""
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise LineNotUtf8 from error
        values = _split(text)
        if len(values) != len(self._columns):
            message = f"The line has {len(values)} fields; the header names {len(self._columns)}."
            raise LineMalformed(message)
        return {column: value.strip() for column, value in zip(self._columns, values, strict=True)}


class _Members(msgspec.Struct, frozen=True):
    """The members that are read of an object; an amount is kept as written, never as a float."""

    amount: msgspec.Raw
    currency: str
    source: str
    reference: str | int | None = None
    description: str | None = None
    merchant: str | None = None
    capture: bool | str | None = None


class NdjsonParser:
    """Reads lines that are one JSON object each."""

    def __init__(self) -> None:
        """Share one decoder between all lines."""
        self._decode = msgspec.json.Decoder(_Members).decode
        self.unread: list[str] = []

    def fields(self, raw: bytes) -> Mapping[str, str]:
        """Return the members by name, with numbers as they are written."""
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise LineNotUtf8 from error
        try:
            members = self._decode(raw)
        except msgspec.ValidationError as error:
            raise LineMalformed(_explain(str(error))) from error
        except msgspec.DecodeError as error:
            raise LineMalformed("The line is not a well-formed JSON object.") from error
        if any(raw.count(f'"{name}"'.encode()) > 1 for name in NEEDED):
            _refuse_repeated_members(raw)
        capture = members.capture
        return {
            "amount": _amount_text(bytes(members.amount)),
            "currency": members.currency,
            "source": members.source,
            "reference": "" if members.reference is None else str(members.reference),
            "description": members.description or "",
            "merchant": members.merchant or "",
            "capture": "" if capture is None else str(capture).lower(),
        }


class Reader:
    """Makes entries of lines; keys of lines without a reference come from the file's `digest`."""

    def __init__(self, parser: LineParser, digest: str) -> None:
        """Read lines with `parser`."""
        self._parser = parser
        self._digest = digest
        self._encode = msgspec.json.Encoder().encode

    def entry(self, line: Line) -> Entry:
        """Return what the line asks for; raise InvalidRequest when it is not to be sent.

        The error's `fields` hold the line's reference where it could be read.
        """
        if not line.is_whole:
            raise LineTooLong
        fields = self._parser.fields(line.raw)
        reference = fields.get("reference", "")
        try:
            item = self._item(fields, reference, line.number)
        except InvalidRequest as error:
            error.fields["reference"] = reference
            raise
        return Entry(line.number, item.idempotency_key, reference, self._encode(item))

    def _item(self, fields: Mapping[str, str], reference: str, number: int) -> BatchItem:
        currency = fields["currency"]
        exponent(currency)
        description = fields.get("description", "") or fields.get("merchant", "")
        source = fields["source"]
        _check_text("source", source, SOURCE_LENGTH_MAX, _SOURCE)
        if reference:
            _check_text("reference", reference, REFERENCE_LENGTH_MAX, _TEXT)
        if description:
            _check_text("description", description, DESCRIPTION_LENGTH_MAX, _TEXT)
        return BatchItem(
            amount=_amount(fields["amount"], currency),
            currency=currency,
            source=source,
            capture=_capture(fields.get("capture", "")),
            reference=reference or None,
            description=description or None,
            idempotency_key=key_of(reference, self._digest, number),
        )


def key_of(reference: str, digest: str, number: int) -> str:
    """Return a line's idempotency key: its reference, or else the file's digest and its number."""
    if not reference:
        return f"file-{digest}-line-{number}"
    if _PLAIN_KEY.fullmatch(reference):
        return reference
    return f"reference-{sha256(reference.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _split(text: str) -> list[str]:
    text = text.rstrip("\r\n")
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise LineMalformed("The line's quotes do not match.") from error


def _text(header: bytes, name: str) -> str:
    try:
        return header.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        message = f"The header of {name} is not encoded in UTF-8. Save the file as UTF-8."
        raise FileUnusable(message) from error


def _lacking(name: str, missing: list[str]) -> str:
    columns = "column" if len(missing) == 1 else "columns"
    return (
        f"{name} lacks the {columns} {', '.join(missing)}. Its first line must name the columns, "
        f"separated by commas: {', '.join(NEEDED)}, and if you like {', '.join(OPTIONAL)}."
    )


def _explain(error: str) -> str:
    """Put msgspec's finding, which names fields and never their values, into a sentence."""
    found = re.fullmatch(r"Object missing required field `(\w+)`", error)
    if found:
        return f"The member '{found[1]}' is missing."
    found = re.search(r"at `\$\.(\w+)`", error)
    if found:
        return f"The member '{found[1]}' is not of the right type."
    return "The line is not a JSON object."


def _refuse_repeated_members(raw: bytes) -> None:
    """Raise LineMalformed for an object that names a member twice: which one counts is open."""
    pairs = json.loads(raw, object_pairs_hook=list, parse_int=str, parse_float=str)
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise LineMalformed("The line names a member twice.")


def _amount_text(raw: bytes) -> str:
    if not raw.startswith(b'"'):
        return raw.decode()
    return str(msgspec.json.decode(raw))


def _amount(text: str, currency: str) -> int:
    minor = to_minor(text, currency)
    if not 0 < minor <= AMOUNT_MINOR_MAX:
        most = to_major(AMOUNT_MINOR_MAX, currency)
        message = f"The amount must be above zero and at most {most} {currency}."
        raise InvalidRequest(message, field="amount")
    return minor


def _capture(text: str) -> bool:
    try:
        return _CAPTURES[text.lower()]
    except KeyError:
        message = "The field 'capture' must be true, false or empty."
        raise InvalidRequest(message, field="capture") from None


def _check_text(name: str, text: str, length_max: int, pattern: re.Pattern[str]) -> None:
    if len(text) > length_max:
        message = f"The field '{name}' is longer than {length_max} characters."
        raise InvalidRequest(message, field=name)
    if not text:
        raise InvalidRequest(f"The field '{name}' is empty.", field=name)
    if not pattern.fullmatch(text):
        raise InvalidRequest(f"The field '{name}' {_CHARACTERS[name]}.", field=name)
    if holds_card_number(text):
        message = f"The field '{name}' holds what looks like a card number; send a token instead."
        raise CardNumberRefused(message, field=name)

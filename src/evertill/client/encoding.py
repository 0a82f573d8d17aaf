"""How a row of a sample is written: as CSV or as newline-delimited JSON, whole or broken.

It is separate so that the sample decides what a file holds and not how quoting works.
"""

from __future__ import annotations

import csv
import json
from typing import Final, NamedTuple, Protocol


class Row(NamedTuple):
    """One payment as a file has it: every field is text, and the amount is in major units."""

    reference: str
    amount: str
    currency: str
    source: str
    merchant: str
    description: str
    capture: str


COLUMNS: Final = Row._fields


class Encoder(Protocol):
    """Writes rows as lines, each with its line end."""

    def opening(self) -> str:
        """Return what stands before the first row."""

    def line(self, row: Row) -> str:
        """Return `row` as a line."""

    def line_without(self, row: Row, column: str) -> str:
        """Return `row` as a line that lacks `column` altogether."""

    def line_broken(self, row: Row) -> str:
        """Return `row` as a line that is no well-formed CSV or JSON."""


class _Echo:
    """A file that hands back what is written to it, which the csv module then returns."""

    def write(self, text: str) -> str:
        """Return `text`."""
        return text


class CsvEncoder:
    """Rows as RFC 4180 has them, with bare line feeds."""

    def __init__(self) -> None:
        """Quote only what needs it."""
        self._write = csv.writer(_Echo(), lineterminator="\n").writerow

    def opening(self) -> str:
        """Return the header."""
        return str(self._write(COLUMNS))

    def line(self, row: Row) -> str:
        """Return `row` as a line."""
        return str(self._write(row))

    def line_without(self, row: Row, column: str) -> str:
        """Return a line with one field less, as exports cut short have them."""
        return str(self._write(value for name, value in row._asdict().items() if name != column))

    def line_broken(self, row: Row) -> str:
        """Return a line whose last quote never closes."""
        return f'{row.reference},{row.amount},{row.currency},{row.source},{row.merchant},"open,1\n'


class NdjsonEncoder:
    """Rows as one JSON object to a line; empty fields are left out, the amount is a string."""

    def opening(self) -> str:
        """Return nothing: there is no header."""
        return ""

    def line(self, row: Row) -> str:
        """Return `row` as a line."""
        return self._write(dict(row._asdict()))

    def line_without(self, row: Row, column: str) -> str:
        """Return a line without the member `column`."""
        return self._write({name: text for name, text in row._asdict().items() if name != column})

    def line_broken(self, row: Row) -> str:
        """Return a line whose object never closes."""
        return self.line(row).rstrip("}\n") + "\n"

    def _write(self, fields: dict[str, str]) -> str:
        members: dict[str, str | bool] = {
            name: text for name, text in fields.items() if text or name == "source"
        }
        if members.get("capture") in {"true", "false"}:
            members["capture"] = members["capture"] == "true"
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"

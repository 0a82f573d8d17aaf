"""Write the transaction log as a table, for auditors: one row an event, each event once.

It is separate from verify because it answers another question, and trusts no more: an export of a
log that does not verify is refused by the command.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import Final, TextIO

from evertill.journal.records import Record, read_record, unpack, write_time
from evertill.journal.stores import Store
from evertill.journal.verify import Log

COLUMNS: Final = (
    "event_id",
    "type",
    "created_at",
    "merchant_id",
    "payment_id",
    "status",
    "amount_minor",
    "currency",
    "exponent",
    "amount_captured_minor",
    "amount_refunded_minor",
    "fee_minor",
    "refund_id",
    "reference",
    "decline_code",
    "region",
    "chain",
    "record",
    "hash_before",
)
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def export(store: Store, target: TextIO, since: datetime, until: datetime) -> int:
    """Write the events of a time, its end excluded, as CSV; return how many there were.

    Chains come in the order of their beginnings, so each payment's events are in order. Raise
    StoreUnavailable or, for an object that is none, ValueError.
    """
    table = csv.writer(target, lineterminator="\n")
    table.writerow(COLUMNS)
    seen: set[str] = set()
    for region, chain, record in _records(store, since):
        if since <= record.created_at < until and record.id not in seen:
            seen.add(record.id)
            table.writerow(_row(region, chain, record))
    return len(seen)


def _records(store: Store, since: datetime) -> Iterator[tuple[str, str, Record]]:
    """Return the records of every object that may hold events since a time."""
    # An object is sealed after its events, by the same clock: the database's.
    first_hour = f"{since:%Y/%m/%d/%H}"
    for places in Log(store).in_order():
        for place in places:
            if place.hour >= first_hour:
                _, lines = unpack(store.get(place.key))
                for line in lines:
                    yield place.region, place.chain, read_record(line)


def _row(region: str, chain: str, record: Record) -> list[object]:
    data = record.data
    decline = data.get("decline") or {}
    is_refund = str(data.get("id", "")).startswith("ref_")
    return [
        record.id,
        record.type,
        write_time(record.created_at),
        record.merchant_id,
        record.payment_id,
        data.get("status"),
        data.get("amount"),
        data.get("currency"),
        data.get("exponent"),
        data.get("amount_captured"),
        data.get("amount_refunded"),
        data.get("fee"),
        data["id"] if is_refund else None,
        _plain(data.get("reference")),
        decline.get("code"),
        region,
        chain,
        record.n,
        record.prev,
    ]


def _plain(text: str | None) -> str | None:
    """Keep a merchant's text from being calculated by whatever opens the table."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text

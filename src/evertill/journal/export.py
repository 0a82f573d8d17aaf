"""Write the transaction log as a table, for auditors: one row an event, each event once.

It is separate from verify because it answers another question, and trusts no more: an export of a
log that does not verify is refused by the command.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import Final, TextIO

from evertill.journal.chains import Log, read_ahead
from evertill.journal.records import Record, read_record, unpack, write_time
from evertill.journal.stores import Store

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

    Chains come in the order of their links, so each payment's events are in order. Raise
    StoreUnavailable or, for an object that is none, ValueError.
    """
    table = csv.writer(target, lineterminator="\n")
    table.writerow(COLUMNS)
    count = 0
    for region, chain, record in _records(store, since):
        if since <= record.created_at < until:
            count += 1
            table.writerow(_row(region, chain, record))
    return count


def _records(store: Store, since: datetime) -> Iterator[tuple[str, str, Record]]:
    """Return each event of the objects that may hold events since a time, once."""
    # An object is sealed after its events, by the same clock: the database's.
    log = Log(store, since)
    tail_from = {tail.chain: tail.from_sequence for tail in log.tails()}
    # Only what stands in a tail is written again by a later chain.
    repeatable: set[str] = set()
    for chain in log.order:
        for place, stored in read_ahead(store, log.chains[chain]):
            is_tail = chain in tail_from and place.sequence >= tail_from[chain]
            for line in unpack(stored)[1]:
                record = read_record(line)
                if record.id not in repeatable:
                    yield place.region, place.chain, record
                if is_tail:
                    repeatable.add(record.id)


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

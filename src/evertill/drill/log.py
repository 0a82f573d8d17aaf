"""The transaction log as the checker wants it: what each region wrote, in the log's order.

It is separate from the journal's own verification, which asks whether the log is whole; here it is
asked what the log says, to compare that with databases and clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from evertill.journal.chains import Log
from evertill.journal.records import Place, read_record, unpack
from evertill.journal.stores import Store
from evertill.journal.verify import verify

PAYMENT_EVENTS: Final = "payment."


class Entry(msgspec.Struct, frozen=True):
    """One event as a region's relay handed it over."""

    event: str
    payment: str
    type: str
    region: str


class LogBooks(msgspec.Struct, frozen=True):
    """One copy of the log: its entries in order, and where it breaks."""

    place: str
    entries: list[Entry]
    breaks: list[str]


def read_log(place: str, store: Store, merchant: int) -> LogBooks:
    """Read one copy of the log, for one merchant; raise StoreUnavailable."""
    breaks = [f"{found.key}, line {found.line}: {found.reason}" for found in verify(store).breaks]
    log = Log(store, None)
    entries = [
        entry
        for chain in log.order
        for at in log.chains[chain]
        for entry in _entries(at, store.get(at.key), merchant)
    ]
    return LogBooks(place, entries, breaks)


def _entries(at: Place, stored: bytes, merchant: int) -> Iterator[Entry]:
    try:
        _, lines = unpack(stored)
        records = [read_record(line) for line in lines]
    except ValueError:
        # The verification names it as a break.
        return
    for record in records:
        if record.merchant_id == merchant and record.type.startswith(PAYMENT_EVENTS):
            yield Entry(record.id, record.payment_id, record.type, at.region)

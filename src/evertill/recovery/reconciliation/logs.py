"""What the transaction logs tell that no database may know: the ends that the lost region wrote.

After a failover the new primary's chain follows the last object that its database knew of. What the
lost region wrote behind that is a tail (docs/decisions/0030-transaction-log.md): a list of events
to account for. Everything before it is in the new primary by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from evertill.domain.errors import UsageError
from evertill.journal.chains import Log, read_ahead
from evertill.journal.records import Place, read_record, unpack
from evertill.journal.stores import Store
from evertill.journal.verify import Report, verify
from evertill.recovery.reconciliation.evidence import Phantom, Position

# How long before the last event of the old volume the log is read: its relay may have been behind.
LOOK_BACK: Final = timedelta(days=1)
DELIVERED_LINES_MAX: Final = 10_000_000


class Location(msgspec.Struct, frozen=True):
    """A region's log: its name for people, and its objects."""

    name: str
    store: Store


def check(location: Location, until: datetime) -> Report:
    """Prove a log whole from before the end of the old volume on."""
    return verify(location.store, until - LOOK_BACK)


def read_tails(location: Location, until: datetime, new: Position) -> Iterator[Phantom]:
    """Return every event that a log holds behind what the new primary knew of; raise ValueError.

    They are phantoms only if no database has them, which is for the caller to find out.
    """
    log = Log(location.store, until - LOOK_BACK)
    places = [
        place
        for tail in log.tails()
        for place in log.chains[tail.chain]
        if place.sequence >= tail.from_sequence
    ]
    for place, stored in read_ahead(location.store, [*places, *_newest(log, new)]):
        _, lines = unpack(stored)
        for line in lines:
            record = read_record(line)
            yield Phantom(
                record.id,
                f"the log {location.name}, {place.key},",
                record.type,
                record.merchant_id,
                record.payment_id,
                record.created_at,
            )


def read_delivered(path: Path) -> Iterator[Phantom]:
    """Return the events that a receiver says it was told of: one id, or one JSON event, a line."""
    try:
        with path.open() as stream:
            for number, line in enumerate(stream, start=1):
                if number > DELIVERED_LINES_MAX:
                    raise UsageError(f"{path} has more than {DELIVERED_LINES_MAX} lines.")
                if text := line.strip():
                    yield Phantom(_delivered_id(text), f"a receiver ({path.name})", "", 0, "", None)
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}.") from failure


def _delivered_id(text: str) -> str:
    if not text.startswith("{"):
        return text
    try:
        return str(msgspec.json.decode(text, type=dict[str, object])["id"])
    except (msgspec.MsgspecError, KeyError):
        raise UsageError(f"{text[:80]} is no event: it has no id.") from None


def _newest(log: Log, new: Position) -> Sequence[Place]:
    """Return the end of the newest chain, which no other follows yet, if it may be a lost one."""
    chains = [chain for chain in log.order if chain not in log.alone]
    if not chains:
        return []
    places = log.chains[chains[-1]]
    known = new.log_sequence if chains[-1] == new.log_chain else -1
    # The new region's own chain is in its database.
    return [p for p in places if p.sequence > known and p.region != new.region]

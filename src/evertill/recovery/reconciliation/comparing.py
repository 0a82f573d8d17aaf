"""Read two volumes and the logs until every difference is known.

Both databases come from one ancestor, so almost all is the same: digests of ranges are compared
first, in the databases, and only what differs is read. The old volume is a frozen copy, or fenced;
the new primary may be taking payments, so each is read in one snapshot, and the log before the new
primary: what the log has by then, its database has too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from evertill.domain.errors import EvertillError
from evertill.domain.payments import StoredPayment
from evertill.domain.states import State
from evertill.recovery.reconciliation import books as checks
from evertill.recovery.reconciliation.evidence import (
    Books,
    Counts,
    Event,
    Kept,
    Phantom,
    Position,
    Told,
)
from evertill.recovery.reconciliation.statements import Connection, ask

RANGE_BITS: Final = 12


class NotOneLineage(EvertillError):
    """The two databases have no history in common: one is not the other's former standby."""

    code = "not_one_lineage"


class NotFailedOver(EvertillError):
    """The second database is not in a later epoch than the first: nothing was failed over."""

    code = "not_failed_over"


class _Parting(NamedTuple):
    """Where the events of the two part: the lost ids, and what both have last."""

    lost: list[bytes]
    altered: list[bytes]
    counts: Counts
    last_common: int
    parted_at: datetime | None


def read_position(connection: Connection) -> Position:
    """Return what a database says of itself."""
    row = ask(connection, "read_position")[0]
    chain, sequence = (row[3].hex, row[4]) if row[3] is not None else ("", -1)
    return Position(row[0], row[1], row[2], chain, sequence)


def newest_event(connection: Connection) -> datetime | None:
    """Return when the last event of a database happened."""
    found: datetime | None = ask(connection, "newest_event")[0][0]
    return found


def compare(old: Connection, new: Connection, seen: Iterable[Phantom]) -> Books:
    """Return all that differs; raise NotOneLineage, NotFailedOver and psycopg.Error."""
    positions = read_position(old), read_position(new)
    if positions[1].epoch <= positions[0].epoch:
        raise NotFailedOver
    parting = _part(old, new)
    lost = _events(old, "read_events", event_ids=parting.lost)
    ids = sorted({event.payment_id for event in lost})
    old_payments = _payments(old, ids)
    keys = {
        event.key_digest: event
        for event in _events(
            new, "read_events_of_keys", key_digests=[e.key_digest for e in lost if e.key_digest]
        )
        if event.key_digest
    }
    related = sorted({*ids, *(event.payment_id for event in keys.values())})
    known: dict[bytes, list[Event]] = defaultdict(list)
    for event in _events(new, "read_events_of_payments", payment_ids=related):
        known[event.payment_id].append(event)
    candidates = [event.event_id for events in known.values() for event in events]
    settings = checks.settings(old, new)
    rows = checks.rows(old, new)
    return Books(
        old=positions[0],
        new=positions[1],
        parted_at=parting.parted_at,
        last_common=parting.last_common,
        events=parting.counts,
        payments=rows.counts,
        lost=lost,
        altered=parting.altered,
        old_payments=old_payments,
        new_payments=_payments(new, related),
        known=known,
        after=frozenset(candidates) - _present(old, candidates),
        keys=keys,
        same_purchases=_same_purchases(new, old_payments, parting.parted_at),
        told=_told(old, parting.lost),
        rows=rows.payments,
        ledgers=rows.ledgers,
        settlements=rows.settlements,
        settings=settings.different,
        merchants=settings.merchants,
        phantoms=_phantoms(old, new, seen),
    )


def _part(old: Connection, new: Connection) -> _Parting:
    theirs = {row[0]: row[1:] for row in ask(old, "digest_events")}
    ours = {row[0]: row[1:] for row in ask(new, "digest_events")}
    total_old, total_new = (sum(row[0] for row in side.values()) for side in (theirs, ours))
    ranges = [number for number, digest in theirs.items() if ours.get(number) != digest]
    listed = ask(old, "list_events_of_ranges", {"ranges": ranges})
    found = {
        row[0]: row[1]
        for row in ask(new, "find_event_digests", {"event_ids": [row[0] for row in listed]})
    }
    lost = [row[0].bytes for row in listed if row[0] not in found]
    altered = [row[0].bytes for row in listed if found.get(row[0], row[3]) != row[3]]
    common = [row for row in listed if row[0] in found]
    same = total_old - len(lost)
    if total_old and total_new and not same:
        raise NotOneLineage
    last = max(common, key=lambda row: row[1], default=None)
    below = max((number for number in theirs if number not in set(ranges)), default=-1)
    last_common = last[1] if last else ((below + 1) << RANGE_BITS) - 1
    parted_at = min((row[2] for row in listed if row[0] not in found), default=None)
    return _Parting(
        lost, altered, Counts(same, len(lost), total_new - same), last_common, parted_at
    )


def _events(connection: Connection, name: str, **values: Sequence[bytes]) -> list[Event]:
    parameters = {key: [UUID(bytes=value) for value in column] for key, column in values.items()}
    return [
        Event(
            row[0].bytes,
            row[1],
            row[2].bytes,
            row[3],
            row[4].bytes if row[4] else None,
            row[5].bytes if row[5] else None,
            *row[6:],
        )
        for row in ask(connection, name, parameters)
    ]


def _payments(connection: Connection, ids: Sequence[bytes]) -> dict[bytes, Kept]:
    rows = ask(connection, "read_payments", {"payment_ids": [UUID(bytes=item) for item in ids]})
    return {row[1].bytes: Kept(read_payment(row), row[16]) for row in rows}


def read_payment(row: Sequence[object]) -> StoredPayment:
    """Read the columns of a payment, in the order that the queries name them."""
    values = list(row[:16])
    assert isinstance(values[1], UUID)  # noqa: S101 - for the type checker
    values[1], values[2] = values[1].bytes, State(str(values[2]))
    return StoredPayment(*values)  # type: ignore[arg-type] # - rows have no types


def _present(connection: Connection, ids: Sequence[bytes]) -> set[bytes]:
    parameters = {"event_ids": [UUID(bytes=item) for item in ids]}
    return {row[0].bytes for row in ask(connection, "find_event_digests", parameters)}


def _same_purchases(
    new: Connection, lost: dict[bytes, Kept], since: datetime | None
) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = defaultdict(list)
    approved = [kept for kept in lost.values() if kept.payment.status is not State.DECLINED]
    parameters = {
        "payment_ids": [UUID(bytes=kept.payment.payment_id) for kept in approved],
        "source_keys": [kept.source_key for kept in approved],
        "amounts_minor": [kept.payment.amount_minor for kept in approved],
        "refs": [kept.payment.reference for kept in approved],
        "since": since,
    }
    for row in ask(new, "find_same_purchases", parameters):
        found[row[0].bytes].append(row[1].bytes)
    return found


def _told(old: Connection, lost: Sequence[bytes]) -> dict[bytes, Told]:
    rows = ask(old, "read_told", {"event_ids": [UUID(bytes=item) for item in lost]})
    return {
        row[0].bytes: Told(
            log=row[4] and not row[1] & 1,
            webhooks=not row[1] & 2 and row[2] < row[3],
            topic=row[5] and not row[1] & 4,
        )
        for row in rows
    }


def _phantoms(old: Connection, new: Connection, seen: Iterable[Phantom]) -> list[Phantom]:
    by_id: dict[bytes, Phantom] = {}
    for phantom in seen:
        raw = checks.raw_event_id(phantom.event_id)
        by_id.setdefault(raw, phantom)
    ids = list(by_id)
    known = _present(old, ids) | _present(new, ids)
    return [by_id[raw] for raw in ids if raw not in known]

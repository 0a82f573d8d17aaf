"""What events do not tell: rows, transfers, settings, and whether the books are right.

It is separate from comparing events because all of this should agree wherever the events do. Where
it does not, somebody or something wrote past the functions that are the only way to write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from evertill.domain import ids
from evertill.domain.errors import NotFound, UsageError
from evertill.domain.ledger import TransferKind
from evertill.recovery.reconciliation.evidence import Counts, Setting
from evertill.recovery.reconciliation.statements import Connection, Row, ask


class Rows(NamedTuple):
    """Payments and ledgers that differ although the same events happened, and lost settlements."""

    counts: Counts
    payments: list[bytes]
    ledgers: list[bytes]
    settlements: list[bytes]


class Settings(NamedTuple):
    """Settings that differ, and the merchants that are the same in both."""

    different: list[Setting]
    merchants: frozenset[int]


class Health(NamedTuple):
    """How many rules of the books are broken; all are zero."""

    unbalanced_transfers: int
    wrong_balances: int
    wrong_payments: int

    @property
    def is_good(self) -> bool:
        """Whether none is."""
        return not any(self)


def check(connection: Connection) -> Health:
    """Check a database's books: I1, and the amounts of I8."""
    names = ("check_entries", "check_balances", "check_refunds")
    return Health(*(int(ask(connection, name)[0][0]) for name in names))


def rows(old: Connection, new: Connection) -> Rows:
    """Compare payments and ledgers, and leave out what later or lost events explain."""
    payments, _, counts = _differing(old, new, "digest_payments", "list_payments_of_ranges")
    subjects, lost_subjects, _ = _differing(old, new, "digest_transfers", "list_subjects_of_ranges")
    unexplained = _same_history(old, new, {row[0] for row in (*payments, *subjects)})
    return Rows(
        counts,
        [row[0].bytes for row in payments if row[0] in unexplained],
        [row[0].bytes for row in subjects if row[0] in unexplained],
        [row[0].bytes for row in lost_subjects if row[2] == TransferKind.SETTLE],
    )


def settings(old: Connection, new: Connection) -> Settings:
    """Compare merchants, their keys and endpoints; what only the new primary has is its own."""
    theirs = {row[:2]: row for row in ask(old, "read_merchants")}
    ours = {row[:2]: row for row in ask(new, "read_merchants")}
    different = [
        Setting(row[0], row[1], row[2], old=True, new=key in ours)
        for key, row in theirs.items()
        if key not in ours or ours[key][3] != row[3]
    ]
    # A number may have been given to two merchants after the two parted: the name tells.
    merchants = {
        int(row[1])
        for key, row in theirs.items()
        if row[0] == "merchant" and key in ours and ours[key][2] == row[2]
    }
    return Settings(different, frozenset(merchants))


def raw_event_id(text: str) -> bytes:
    """Read an event's id; raise UsageError when it is none."""
    try:
        return ids.read_id(ids.EVENT, text)
    except NotFound:
        raise UsageError(f"{text[:80]} is no event's id.") from None


def _differing(
    old: Connection, new: Connection, digests: str, listing: str
) -> tuple[list[Row], list[Row], Counts]:
    """Return rows that are in both and differ, rows of the old one alone, and the counts."""
    theirs = {row[0]: row[1:] for row in ask(old, digests)}
    ours = {row[0]: row[1:] for row in ask(new, digests)}
    ranges = [name for name, digest in theirs.items() if ours.get(name) != digest]
    listed = ask(old, listing, {"ranges": ranges})
    found = {row[0]: row for row in ask(new, listing, {"ranges": ranges})}
    both = [row for row in listed if row[0] in found and found[row[0]][1] != row[1]]
    alone = [row for row in listed if row[0] not in found]
    same = sum(row[0] for row in theirs.values()) - len(alone)
    return both, alone, Counts(same, len(alone), sum(row[0] for row in ours.values()) - same)


def _same_history(old: Connection, new: Connection, payments: set[UUID]) -> set[UUID]:
    """Return the payments to which the same events happened in both."""
    wanted = {"payment_ids": sorted(payments)}
    histories = [_histories(ask(side, "read_events_of_payments", wanted)) for side in (old, new)]
    return {item for item in payments if histories[0][item] == histories[1][item]}


def _histories(found: Sequence[Row]) -> dict[UUID, set[UUID]]:
    histories: dict[UUID, set[UUID]] = defaultdict(set)
    for row in found:
        histories[row[2]].add(row[0])
    return histories

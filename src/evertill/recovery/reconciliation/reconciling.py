"""One reconciliation from beginning to end: look, propose, apply what was approved, look again.

It is separate so that the command only asks for words and files, and tests run the same thing. It
holds no state of its own: what was done is in the new primary, what was decided in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
import psycopg

from evertill.journal.verify import Report as LogReport
from evertill.recovery.reconciliation import books as checks
from evertill.recovery.reconciliation import logs
from evertill.recovery.reconciliation.applying import Applier, LeaseNotHeld, Permit, Result
from evertill.recovery.reconciliation.comparing import compare, newest_event, read_position
from evertill.recovery.reconciliation.differences import Choice, Difference
from evertill.recovery.reconciliation.evidence import Books, Phantom, Position
from evertill.recovery.reconciliation.proposal import Proposal
from evertill.recovery.reconciliation.sorting import sort
from evertill.recovery.reconciliation.statements import ask, connect


class Sources(NamedTuple):
    """Where everything is read: two databases, logs, and what receivers say they were told."""

    old_url: str
    new_url: str
    logs: Sequence[logs.Location] = ()
    delivered: Path | None = None


class Decision(msgspec.Struct, frozen=True):
    """A step that was carried out, as the new primary remembers it."""

    step: str
    difference: str
    proposal: str
    subject: str
    decision: Choice
    approved_by: str
    epoch: int
    adjustment: str | None
    at: datetime


class Findings(NamedTuple):
    """All that one look found; `open` is what nobody has decided about."""

    at: datetime
    books: Books
    open: list[Difference]
    decided: list[Decision]
    old_health: checks.Health
    new_health: checks.Health
    logs: dict[str, LogReport]

    @property
    def begun(self) -> frozenset[str]:
        """The differences of which some steps are done."""
        return frozenset(item.difference for item in self.decided)

    @property
    def is_explained(self) -> bool:
        """Whether nothing is left to decide and the new primary's books and the logs are right."""
        whole = all(report.whole for report in self.logs.values())
        return not self.open and self.new_health.is_good and whole


def look(sources: Sources) -> Findings:
    """Compare everything; raise psycopg.Error, StoreUnavailable, UsageError, NotOneLineage."""
    with closing(connect(sources.old_url, is_read_only=True)) as old:
        until = newest_event(old) or datetime.now(UTC)
        with closing(connect(sources.new_url, is_read_only=True)) as new:
            position = read_position(new)
        reports = {item.name: logs.check(item, until) for item in sources.logs}
        # The log first: what it has by now, the database that is read next has too.
        seen = list(_seen(sources, until, position))
        with closing(connect(sources.new_url, is_read_only=True)) as new:
            books = compare(old, new, seen)
            decided = [_decision(row) for row in ask(new, "read_reconciled")]
            health = checks.check(old), checks.check(new)
    # A replay is over when its events are there; the others when they are noted.
    settled = {item.difference for item in decided if item.decision is not Choice.REPLAY}
    found = [item for item in sort(books) if item.id not in settled]
    return Findings(datetime.now(UTC), books, found, decided, *health, reports)


def apply(
    sources: Sources,
    findings: Findings,
    proposal: Proposal,
    approved_by: str,
    permit: Callable[[], Permit],
) -> list[Result]:
    """Carry out what a proposal decides; raise LeaseNotHeld and psycopg.Error."""
    with closing(connect(sources.new_url, is_read_only=False)) as new:
        new.autocommit = True
        applier = Applier(new, findings.books, proposal, approved_by, permit)
        try:
            return applier.apply(findings.open, findings.begun)
        except psycopg.errors.ReadOnlySqlTransaction as failure:
            raise LeaseNotHeld(
                f"The new primary refused: {failure.diag.message_primary}."
            ) from failure


def _seen(sources: Sources, until: datetime, position: Position) -> Iterator[Phantom]:
    for location in sources.logs:
        yield from logs.read_tails(location, until, position)
    if sources.delivered is not None:
        yield from logs.read_delivered(sources.delivered)


def _decision(row: Sequence[object]) -> Decision:
    texts = [item.hex if isinstance(item, UUID) else item for item in row]
    return msgspec.convert(dict(zip(Decision.__struct_fields__, texts, strict=True)), Decision)

"""Prove a transaction log whole, or say where it breaks.

It reads a store and asks nobody: neither the database nor the service. A chain is whole when its
objects follow each other without a gap and every record begins with the hash of the one before it;
the log is whole when each chain follows an object that is there. See
docs/decisions/0030-transaction-log.md for what that does and does not prove.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from evertill.domain.outbox import Head
from evertill.journal.chains import Log, Tail, read_ahead
from evertill.journal.records import Manifest, Place, genesis, hash_line, read_record, unpack
from evertill.journal.stores import Store

# A chain's id is drawn by a host's clock, while its objects are named by the database's.
CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)


class Break(msgspec.Struct, frozen=True):
    """Where the log is not whole; `line` counts the object's lines from 1, 0 is the object."""

    key: str
    line: int
    reason: str


class Beginning(msgspec.Struct, frozen=True):
    """Where a chain was taken up at its word, because what stands before was not to be read.

    `previous` is the hash that it claims to follow: the `last` of the object before, or, for a
    whole chain, the hash of the object of another chain.
    """

    chain: str
    sequence: int
    previous: str


class Report(msgspec.Struct, kw_only=True):
    """What was found; the log is whole when there are no breaks.

    `alone` of the chains neither follow nor are followed; `heads` are the ends of the others.
    """

    chains: int = 0
    alone: int = 0
    objects: int = 0
    records: int = 0
    repeated: int = 0
    heads: list[Head] = msgspec.field(default_factory=list)
    tails: list[Tail] = msgspec.field(default_factory=list)
    beginnings: list[Beginning] = msgspec.field(default_factory=list)
    foreign_keys: int = 0
    breaks: list[Break] = msgspec.field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing was changed."""
        return not self.breaks


class _Walk:
    """One chain as it is read: what comes next, and what has been found."""

    def __init__(self, report: Report, repeatable: set[str], tail_from: int) -> None:
        self.report = report
        # Events of earlier tails: only these may come again, and only they are worth remembering.
        self.repeatable = repeatable
        self.tail_from = tail_from
        self.sequence = 0
        self.records = 0
        self.hash = ""
        # The hash behind each object, to find what later chains follow.
        self.ends: dict[int, str] = {}

    def complain(self, place: Place, line: int, reason: str) -> None:
        self.report.breaks.append(Break(place.key, line, reason))

    def lose(self) -> None:
        """Know nothing of what stands before: a break is told once."""
        self.hash, self.records = "", 0


def verify(store: Store, since: datetime | None = None) -> Report:
    """Walk a log, all of it or what was sealed since an hour; raise StoreUnavailable."""
    log = Log(store, since)
    tails = list(log.tails())
    report = Report(
        chains=len(log.chains), alone=len(log.alone), foreign_keys=log.foreign_keys, tails=tails
    )
    tail_from = {tail.chain: tail.from_sequence for tail in tails}
    repeatable: set[str] = set()
    walks: dict[str, _Walk] = {}
    for chain in log.order:
        places = log.chains[chain]
        walk = _Walk(report, repeatable, tail_from.get(chain, places[-1].sequence + 1))
        walks[chain] = walk
        if since is not None:
            walk.sequence = places[0].sequence
        for place, stored in read_ahead(store, places):
            _read_object(walk, place, stored)
        if chain not in log.alone:
            last = places[-1]
            report.heads.append(Head(last.region, chain, last.sequence, walk.hash))
    for chain in log.order:
        _check_link(log, walks, chain, since)
    return report


def _read_object(walk: _Walk, place: Place, stored: bytes) -> None:
    """Check one object; a chain is taken up again behind a break, so that all breaks are found."""
    if place.sequence < walk.sequence:
        walk.complain(place, 0, f"there are two objects with the number {place.sequence}")
        return
    if place.sequence > walk.sequence:
        last = place.sequence - 1
        missing = f"s {walk.sequence} to {last} before it are" if last > walk.sequence else ""
        walk.complain(place, 0, f"object{missing or f' {last} before it is'} missing")
        walk.lose()
    walk.sequence = place.sequence + 1
    walk.report.objects += 1
    try:
        manifest, lines = unpack(stored)
    except ValueError as failure:
        walk.complain(place, 0, str(failure))
        walk.lose()
    else:
        _check_object(walk, place, manifest, lines)
    walk.ends[place.sequence] = walk.hash


def _check_object(walk: _Walk, place: Place, manifest: Manifest, lines: list[bytes]) -> None:
    named = (manifest.region, manifest.chain, manifest.sequence)
    if named != (place.region, place.chain, place.sequence):
        walk.complain(place, 1, "the manifest is that of another object")
    if place.sequence == 0:
        walk.hash = genesis(manifest.region, manifest.chain, manifest.follows, alone=manifest.alone)
    elif not walk.ends:
        walk.report.beginnings.append(Beginning(place.chain, place.sequence, manifest.previous))
    # Behind a break nothing is known of the hash before, so the manifest's word is taken.
    walk.hash = walk.hash or manifest.previous
    previous, first = walk.hash, ""
    for number, line in enumerate(lines, start=2):
        _check_record(walk, place, number, line)
        first = first or walk.hash
    found = (len(lines), previous, first, walk.hash)
    told = (manifest.records, manifest.previous, manifest.first, manifest.last)
    if found != told:
        walk.complain(place, 1, "the manifest does not fit the records")


def _check_record(walk: _Walk, place: Place, number: int, line: bytes) -> None:
    try:
        record = read_record(line)
    except ValueError as failure:
        walk.complain(place, number, str(failure))
    else:
        if record.prev != walk.hash:
            walk.complain(place, number, "it does not carry the hash of the record before it")
        if walk.records and record.n != walk.records + 1:
            walk.complain(place, number, f"its number is {record.n}, not {walk.records + 1}")
        walk.records = record.n
        walk.report.records += 1
        walk.report.repeated += record.id in walk.repeatable
        if place.sequence >= walk.tail_from:
            walk.repeatable.add(record.id)
    walk.hash = hash_line(line)


def _check_link(log: Log, walks: dict[str, _Walk], chain: str, since: datetime | None) -> None:
    """Check that a chain follows an object that is there."""
    head, walk, first = log.follows[chain], walks[chain], log.chains[chain][0]
    if head is None or first.sequence > 0:
        return
    before = walks.get(head.chain)
    if since is not None and _is_outside(head, log, since):
        walk.report.beginnings.append(Beginning(chain, 0, head.hash))
    elif before is None:
        walk.complain(first, 1, f"it follows {head.chain}, which is missing")
    elif before.ends.get(head.sequence) != head.hash:
        walk.complain(
            first, 1, f"it follows object {head.sequence} of {head.chain}, which is not as it was"
        )


def _is_outside(head: Head, log: Log, since: datetime) -> bool:
    """Tell whether an object may be from before the time, and therefore was not read."""
    places = log.chains.get(head.chain)
    if places:
        return head.sequence < places[0].sequence
    # A chain that began within the time has its objects there.
    began = datetime.fromtimestamp(int(head.chain[:12], 16) / 1000, UTC)
    return began < since + CLOCK_DIFFERENCE_MAX

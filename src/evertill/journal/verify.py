"""Prove a transaction log whole, or say where it breaks.

It reads a store and asks nobody: neither the database nor the service. A chain is whole when its
objects follow each other without a gap and every record begins with the hash of the one before it;
the log is whole when each chain follows an object that is there. See
docs/decisions/0030-transaction-log.md for what that does and does not prove.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from evertill.domain.outbox import Head
from evertill.journal.records import (
    Manifest,
    Place,
    genesis,
    hash_line,
    read_key,
    read_record,
    unpack,
)
from evertill.journal.stores import Store


class Break(msgspec.Struct, frozen=True):
    """Where the log is not whole; `line` counts the object's lines from 1, 0 is the object."""

    key: str
    line: int
    reason: str


class Tail(msgspec.Struct, frozen=True):
    """The end of a chain behind the object after which the next one goes on.

    A writer that died before its acknowledgement leaves one object, whose events its successor
    wrote again. After a failover it holds what the lost region had written and the new one never
    knew.
    """

    chain: str
    from_sequence: int
    objects: int


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
    foreign_keys: int = 0
    breaks: list[Break] = msgspec.field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing was changed."""
        return not self.breaks


class Log:
    """The objects of a store, by chain."""

    def __init__(self, store: Store) -> None:
        """List the store's keys."""
        self.store = store
        self.foreign_keys = 0
        self.chains: dict[str, list[Place]] = defaultdict(list)
        for key in store.keys():  # noqa: SIM118 - a store is no dictionary
            place = read_key(key)
            if place is None:
                self.foreign_keys += 1
            else:
                self.chains[place.chain].append(place)
        for places in self.chains.values():
            places.sort(key=lambda place: (place.sequence, place.hour))

    def in_order(self) -> Iterator[list[Place]]:
        """Return the chains in the order of their beginnings, which their ids tell."""
        for chain in sorted(self.chains):
            yield self.chains[chain]


class _Walk:
    """One chain as it is read: what comes next, and what has been found."""

    def __init__(self, report: Report, seen: set[str]) -> None:
        self.report = report
        self.seen = seen
        self.sequence = 0
        self.records = 0
        self.hash = ""
        self.follows: Head | None = None
        self.alone = False
        # The hash behind each object, to find what later chains follow.
        self.ends: list[str] = []

    def complain(self, place: Place, line: int, reason: str) -> None:
        self.report.breaks.append(Break(place.key, line, reason))


def verify(store: Store) -> Report:
    """Walk a whole log; raise StoreUnavailable when it cannot be read."""
    log = Log(store)
    report = Report(chains=len(log.chains), foreign_keys=log.foreign_keys)
    seen: set[str] = set()
    walks: dict[str, _Walk] = {}
    for places in log.in_order():
        walk = walks[places[0].chain] = _Walk(report, seen)
        for place in places:
            _read_object(store, walk, place)
        if walk.alone:
            report.alone += 1
        else:
            last = places[-1]
            report.heads.append(Head(last.region, last.chain, last.sequence, walk.hash))
    _check_links(log, walks, report)
    return report


def _read_object(store: Store, walk: _Walk, place: Place) -> None:
    """Check one object; a chain is taken up again behind a break, so that all breaks are found."""
    if place.sequence < walk.sequence:
        walk.complain(place, 0, f"there are two objects with the number {place.sequence}")
        return
    if place.sequence > walk.sequence:
        walk.complain(
            place, 0, f"the objects {walk.sequence} to {place.sequence - 1} before it are missing"
        )
        walk.ends += [""] * (place.sequence - walk.sequence)
        walk.sequence, walk.hash = place.sequence, ""
    walk.sequence += 1
    walk.report.objects += 1
    try:
        manifest, lines = unpack(store.get(place.key))
    except ValueError as failure:
        walk.complain(place, 0, str(failure))
        walk.hash = ""
    else:
        _check_object(walk, place, manifest, lines)
    walk.ends.append(walk.hash)


def _check_object(walk: _Walk, place: Place, manifest: Manifest, lines: list[bytes]) -> None:
    named = (manifest.region, manifest.chain, manifest.sequence)
    if named != (place.region, place.chain, place.sequence):
        walk.complain(place, 1, "the manifest is that of another object")
    if place.sequence == 0:
        walk.follows = manifest.follows
        walk.alone = manifest.alone
        walk.hash = genesis(manifest.region, manifest.chain, manifest.follows, alone=manifest.alone)
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
        walk.report.repeated += record.id in walk.seen
        walk.seen.add(record.id)
    walk.hash = hash_line(line)


def _check_links(log: Log, walks: dict[str, _Walk], report: Report) -> None:
    """Check that each chain follows an object that is there; note what is behind that."""
    followed: dict[str, int] = {}
    for chain, walk in sorted(walks.items()):
        head = walk.follows
        if head is None:
            continue
        first = log.chains[chain][0]
        before = walks.get(head.chain)
        if before is None:
            report.breaks.append(Break(first.key, 1, f"it follows {head.chain}, which is missing"))
        elif head.sequence >= len(before.ends) or before.ends[head.sequence] != head.hash:
            reason = f"it follows object {head.sequence} of {head.chain}, which is not as it was"
            report.breaks.append(Break(first.key, 1, reason))
        else:
            followed[head.chain] = max(followed.get(head.chain, -1), head.sequence)
    linked = sorted(chain for chain, walk in walks.items() if not walk.alone)
    for chain in linked[:-1]:
        sequence = followed.get(chain, -1)
        behind = len(walks[chain].ends) - 1 - sequence
        if behind:
            report.tails.append(Tail(chain, sequence + 1, behind))

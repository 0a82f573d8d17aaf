"""What a snapshot means: who has which role, what is missing, what would go wrong. Pure.

It is separate from looking, so that each rule is a line of a table in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from evertill.recovery.deployment import Deployment
from evertill.recovery.rds import KNOWN_STATES
from evertill.recovery.snapshot import Capacity, Frozen, RegionSeen, Snapshot

Level = Literal["harm", "warning", "note"]
# A commit that reached the standby no longer ago was made by a primary that lives.
ALIVE_WITHIN_S: Final = 10.0
# Below what the alarms ring at.
LAG_MS_MAX: Final = 10_000.0
# States of the environment that are alarms, and no trouble: see the templates.
STATES: Final = ("region-writer", "db-replication-silent-signal")
ALARM: Final = "ALARM"


class Finding(Frozen, frozen=True):
    """One thing to know."""

    level: Level
    text: str


class Left(Frozen, frozen=True):
    """How the last run left the world: what later drift is told from."""

    at: str
    kind: str
    writer: str
    floor: int
    guard_s: int | None = None


class Evaluation(Frozen, frozen=True):
    """The snapshot in words."""

    writer: str | None
    roles: dict[str, str]
    need: int
    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """Tell whether nothing does harm."""
        return all(finding.level != "harm" for finding in self.findings)


def evaluate(snapshot: Snapshot, deployment: Deployment, left: Left | None = None) -> Evaluation:
    """Return what `snapshot` means; `left` is how the last run left things."""
    writer = snapshot.group.writer if snapshot.group else None
    need = needed(snapshot, deployment, writer)
    findings = [
        *_global(snapshot),
        *_lease(snapshot, writer),
        *_doors(snapshot, deployment, writer),
        *(item for region in snapshot.regions for item in _region(region, writer, need)),
        *_standby(snapshot, writer),
        *(_drift(snapshot, writer, left) if left else ()),
        *(Finding(level="note", text=text) for text in snapshot.troubles),
    ]
    order: dict[Level, int] = {"harm": 0, "warning": 1, "note": 2}
    return Evaluation(
        writer=writer,
        roles={item.name: role_of(item, writer) for item in snapshot.regions},
        need=need,
        findings=tuple(sorted(findings, key=lambda item: order[item.level])),
    )


def role_of(region: RegionSeen, writer: str | None) -> str:
    """Return a region's role: writer, standby, or lost when nothing of it answers."""
    if not region.answers:
        return "lost"
    if writer is None:
        return "unknown"
    return "writer" if region.name == writer else "standby"


def needed(snapshot: Snapshot, deployment: Deployment, writer: str | None) -> int:
    """Return how many tasks whoever writes needs: the floor, or what the load has now."""
    found = [snapshot.region(writer).capacity] if writer in deployment.regions else []
    desired = [capacity.desired for capacity in found if capacity]
    return min(deployment.tasks_max, max(deployment.tasks_min, *desired, 0))


def signs_of_life(snapshot: Snapshot, source: str, target: str) -> tuple[str, ...]:
    """Return by what a primary shows, as seen from the other region, that it still works."""
    signs = []
    if snapshot.region(source).is_ready:
        signs.append(f"{source} answers /ready with 200")
    position = snapshot.region(target).position
    is_fresh = position is not None and not position.is_writable
    behind_s = position.behind_s if position and is_fresh else None
    renews = snapshot.lease_moves and snapshot.lease and snapshot.lease.region == source
    if renews and behind_s is not None and behind_s < ALIVE_WITHIN_S:
        signs.append(f"it renews the lease, and a commit of {behind_s:.1f} s ago arrived here")
    return tuple(signs)


def _global(snapshot: Snapshot) -> Iterator[Finding]:
    group = snapshot.group
    if group is None:
        yield Finding(level="harm", text="No region's RDS tells of the global database.")
        return
    if group.writer is None:
        yield Finding(level="harm", text="No member of the global database writes.")
    if group.change is not None:
        change = group.change
        strange = "" if change.status in KNOWN_STATES else " (a state that this tool does not know)"
        text = f"RDS changes the writer from {change.source} to {change.target}: {change.status}"
        yield Finding(level="warning", text=f"{text}{strange}.")
    elif group.status not in KNOWN_STATES:
        text = f"RDS says {group.status!r} of the global database, which this tool does not know."
        yield Finding(level="warning", text=text)


def _lease(snapshot: Snapshot, writer: str | None) -> Iterator[Finding]:
    lease = snapshot.lease
    if lease is None:
        yield Finding(level="harm", text="Nobody knows who holds the write lease.")
        return
    if writer is not None and lease.region != writer:
        text = f"{lease.region} holds the write lease and {writer} the database: nobody can write."
        yield Finding(level="harm", text=text)
    if snapshot.lease_moves is False:
        text = f"Nobody renews the write lease of {lease.region}: no payment is taken."
        yield Finding(level="harm", text=text)


def _doors(snapshot: Snapshot, deployment: Deployment, writer: str | None) -> Iterator[Finding]:
    ready = [region.name for region in snapshot.regions if region.is_ready]
    if not ready:
        yield Finding(level="harm", text="No region is ready to take a payment.")
    if len(ready) > 1:
        yield Finding(level="harm", text="Both regions say that they are ready to take payments.")
    dns = snapshot.dns
    if (
        dns
        and writer
        and deployment.regional(writer) not in {answer.rstrip(".") for answer in dns.answer}
    ):
        text = f"DNS leads {deployment.front} to {', '.join(dns.answer) or 'nowhere'}, and {writer}"
        yield Finding(level="warning", text=f"{text} writes.")


def _region(region: RegionSeen, writer: str | None, need: int) -> Iterator[Finding]:
    if not region.answers:
        yield Finding(level="harm", text=f"{region.name} does not answer.")
        return
    if region.capacity is not None:
        yield from _capacity(region.name, region.capacity, need, is_writer=region.name == writer)
    if region.database is not None:
        if region.database.status != "available":
            text = f"The database of {region.name} is {region.database.status}."
            yield Finding(level="warning", text=text)
        for name in region.database.snapshots:
            text = (
                f"{region.name} keeps the volume of a given-up primary as {name}, which expires: "
                "copy it at once (`evertill recovery reconcile` does)."
            )
            yield Finding(level="warning", text=text)
    for alarm in region.alarms or ():
        if alarm.state == ALARM and not alarm.name.startswith(STATES):
            text = f"{alarm.name} rings in {region.name} since {alarm.since}."
            yield Finding(level="warning", text=text)
    for trouble in region.troubles:
        yield Finding(level="note", text=trouble)


def _capacity(name: str, seen: Capacity, need: int, *, is_writer: bool) -> Iterator[Finding]:
    if is_writer and seen.running < need:
        text = f"{name} runs {seen.running} of the {need} tasks that it needs."
        yield Finding(level="warning", text=text)
    if not is_writer and seen.running < seen.count_min:
        text = f"The standby {name} runs {seen.running} of its {seen.count_min} tasks."
        yield Finding(level="warning", text=text)
    if seen.healthy == 0:
        yield Finding(level="harm", text=f"No task of {name} passes its health check.")


def _standby(snapshot: Snapshot, writer: str | None) -> Iterator[Finding]:
    group = snapshot.group
    for region in snapshot.regions:
        guard = region.database.guard if region.database else None
        if region.name == writer:
            if guard is not None and guard.limit_s is None:
                text = f"{writer} has no RPO guard: `evertill recovery guard set` bounds the loss."
                yield Finding(level="warning", text=text)
            continue
        if guard is not None and guard.limit_s is not None:
            text = (
                f"{region.name} has an RPO guard of {guard.limit_s} s: promoted, it would hold "
                "every commit back. `evertill recovery guard lift` takes it away."
            )
            yield Finding(level="harm", text=text)
        member = group.member(region.name) if group else None
        if group is not None and member is None:
            text = f"{region.name} is no member of the global database: there is no standby."
            yield Finding(level="harm", text=text)
        elif member is not None and member.synchronization not in {"", "connected"}:
            text = f"RDS says {member.synchronization!r} of the standby {region.name}."
            yield Finding(level="warning", text=text)
        if region.lag_ms is not None and region.lag_ms > LAG_MS_MAX:
            text = f"The standby {region.name} is {region.lag_ms / 1000:.1f} s behind."
            yield Finding(level="warning", text=text)


def _drift(snapshot: Snapshot, writer: str | None, left: Left) -> Iterator[Finding]:
    since = f"since the {left.kind} of {left.at}"
    if writer is not None and writer != left.writer:
        text = f"The writer moved from {left.writer} to {writer} {since}."
        yield Finding(level="warning", text=text)
        return
    seen = next((item for item in snapshot.regions if item.name == left.writer), None)
    if seen is None:
        return
    if seen.capacity is not None and seen.capacity.count_min < left.floor:
        text = f"The floor of {left.writer} fell from {left.floor} to {seen.capacity.count_min}"
        yield Finding(level="warning", text=f"{text} {since}.")
    guard = seen.database.guard if seen.database else None
    if guard is not None and guard.limit_s != left.guard_s:
        text = f"The RPO guard of {left.writer} was {_guard(left.guard_s)}"
        yield Finding(level="warning", text=f"{text} and is {_guard(guard.limit_s)} {since}.")


def _guard(limit_s: int | None) -> str:
    return "off" if limit_s is None else f"{limit_s} s"


def as_dict(snapshot: Snapshot, evaluation: Evaluation) -> dict[str, object]:
    """Return both for `--json`."""
    return {
        **msgspec.to_builtins(evaluation),
        "is_well": evaluation.is_well,
        "snapshot": msgspec.to_builtins(snapshot),
    }

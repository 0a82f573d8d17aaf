"""What a service's scheduler does next: which tasks to start where, and which to stop.

It is separate and pure because ECS's rules are tables: the counts that a deployment must keep, the
zone with the fewest tasks, what to do with one that is unhealthy. Nothing here waits.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

# A difference between zones that moving one task would make smaller.
UNEVEN: Final = 2


class Member(msgspec.Struct, frozen=True):
    """A task that runs or will. It is neither healthy nor unhealthy until its checks have said."""

    id: str
    zone: str
    is_primary: bool = True
    is_healthy: bool = False
    is_unhealthy: bool = False


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted: `zones` are those that can take a task now."""

    count: int
    zones: tuple[str, ...]
    minimum_percent: int = 100
    maximum_percent: int = 200
    is_rebalanced: bool = False
    is_halted: bool = False

    @property
    def lower(self) -> int:
        """Return how many healthy tasks are kept at least."""
        return math.ceil(self.count * self.minimum_percent / 100)

    @property
    def upper(self) -> int:
        """Return how many tasks there are at most."""
        return math.floor(self.count * self.maximum_percent / 100)


class Moves(msgspec.Struct, frozen=True):
    """What to do: a zone for each task to start, an id for each to stop."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


def decide(members: Sequence[Member], demand: Demand) -> Moves:
    """Return the next moves; with the same members it always returns the same ones."""
    primary = [member for member in members if member.is_primary]
    old = [member for member in members if not member.is_primary]
    good = [member for member in primary if not member.is_unhealthy]
    healthy = sum(member.is_healthy for member in primary)
    missing = max(0, demand.count - len(good))
    room = max(0, demand.upper - len(members))
    may_start = bool(demand.zones) and not demand.is_halted
    starts = min(missing, room) if may_start else 0
    stops = [
        *_unhealthy(primary, demand, healthy, is_cramped=may_start and missing > room),
        *_superseded(old, demand, healthy),
        *_superfluous(good, demand, healthy),
    ]
    zones = _spread(good, demand.zones, starts)
    if not zones and not stops and not old and healthy == len(members) == demand.count:
        zones = _evened(good, demand)
    return Moves(tuple(zones), tuple(member.id for member in stops))


def _unhealthy(
    primary: Sequence[Member], demand: Demand, healthy: int, *, is_cramped: bool
) -> list[Member]:
    """Return the unhealthy tasks to stop: those that were replaced, or that leave no room for it.

    ECS starts the replacement first where the maximum allows it.
    """
    found = [member for member in primary if member.is_unhealthy]
    kept = 0 if is_cramped else max(0, demand.count - healthy)
    return found[: max(0, len(found) - kept)]


def _superseded(old: Sequence[Member], demand: Demand, healthy: int) -> list[Member]:
    """Return the tasks of earlier deployments to stop: what the lower bound can spare."""
    if demand.is_halted:
        return []
    kept = max(0, demand.lower - healthy)
    # Those that do no good go first.
    ordered = sorted(old, key=lambda member: member.is_healthy)
    return ordered[: max(0, len(ordered) - kept)]


def _superfluous(good: Sequence[Member], demand: Demand, healthy: int) -> list[Member]:
    """Return one task too many, from the fullest zone, unless that would leave too few healthy."""
    if len(good) <= demand.count:
        return []
    counts = Counter(member.zone for member in good)
    fullest = max(counts.values())
    candidates = [member for member in good if counts[member.zone] == fullest]
    candidates.sort(key=lambda member: member.is_healthy)
    first = candidates[0]
    if first.is_healthy and healthy - 1 < demand.lower:
        return []
    return [first]


def _spread(good: Sequence[Member], zones: Sequence[str], starts: int) -> list[str]:
    """Return a zone for each task to start, always the one with the fewest."""
    counts = Counter(dict.fromkeys(zones, 0))
    counts.update(member.zone for member in good if member.zone in counts)
    chosen: list[str] = []
    for _ in range(starts):
        zone = min(zones, key=lambda name: counts[name])
        counts[zone] += 1
        chosen.append(zone)
    return chosen


def _evened(good: Sequence[Member], demand: Demand) -> list[str]:
    """Return the emptiest zone when a task should move there; the one too many is stopped later.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    """
    if not demand.is_rebalanced or demand.is_halted or demand.upper <= demand.count:
        return []
    counts = Counter(dict.fromkeys(demand.zones, 0))
    counts.update(member.zone for member in good)
    if not counts or max(counts.values()) - min(counts.values()) < UNEVEN:
        return []
    return [min(demand.zones, key=lambda zone: counts[zone])]

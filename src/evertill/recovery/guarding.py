"""The RPO guard by hand: set on the region that writes, or lifted when it stops payments.

It is separate from the steps because it is no change of the writer. With its only standby lost, the
guard holds every commit back; nobody but an operator can decide to go on without it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.domain.errors import EvertillError, UsageError
from evertill.recovery import rds
from evertill.recovery.errors import Forbidden, RegionSilent
from evertill.recovery.snapshot import GlobalSeen
from evertill.recovery.surroundings import Surroundings

# What Aurora takes at least; the alarm rings at 15 s, before it.
LIMIT_MIN_S: Final = 20


class Guarded(msgspec.Struct, frozen=True):
    """What was done: in which region, and the limit before and after."""

    region: str
    before_s: int | None
    limit_s: int | None


def writer_of(around: Surroundings) -> GlobalSeen:
    """Return the global database as the first region that answers tells it, for its writer."""
    for name in around.asked():
        try:
            seen = rds.read_global(
                around.region(name).impatient(), around.deployment.global_database
            )
        except EvertillError:
            continue
        if seen.writer is not None:
            return seen
    raise RegionSilent("No region tells which one writes.")


def set_guard(around: Surroundings, limit_s: int) -> Guarded:
    """Bound what a failover can lose; raise Forbidden without a standby that follows."""
    if limit_s < LIMIT_MIN_S:
        raise UsageError(f"Aurora takes a limit of {LIMIT_MIN_S} s or more, not {limit_s} s.")
    seen = writer_of(around)
    following = [item for item in seen.members if item.synchronization == "connected"]
    if not following:
        message = "No standby follows: with a guard, every commit would be held back."
        raise Forbidden(message)
    return _change(around, str(seen.writer), limit_s)


def lift_guard(around: Surroundings) -> Guarded:
    """Let commits go on, however far the standby is behind."""
    return _change(around, str(writer_of(around).writer), None)


def _change(around: Surroundings, name: str, limit_s: int | None) -> Guarded:
    region = around.region(name)
    database = rds.read_database(region, around.deployment.database)
    if database.guard is None:
        raise RegionSilent(f"{name} does not tell its parameter group.")
    if database.guard.limit_s != limit_s:
        rds.set_guard(region, database.guard.group, limit_s)
    return Guarded(name, database.guard.limit_s, limit_s)

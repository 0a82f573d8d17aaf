"""Snapshots of worlds in a few lines: two regions that are well, and what may differ."""

from __future__ import annotations

from typing import Any

import msgspec

from evertill.authority.lease import Lease
from evertill.recovery.deployment import Deployment
from evertill.recovery.snapshot import (
    Capacity,
    DatabaseSeen,
    DnsSeen,
    GlobalSeen,
    Guard,
    Instance,
    Member,
    Position,
    RegionSeen,
    Snapshot,
)

OLD, NEW = "us-east-1", "us-east-2"
AT = "2026-11-23T02:40:00.000Z"
DEV = Deployment("dev", "evertill.internal", (OLD, NEW), 3, 6, 1)


def arn(region: str) -> str:
    return f"arn:aws:rds:{region}:123456789012:cluster:payment-db-dev"


def database(region: str, *, guard_s: int | None = None, **given: Any) -> DatabaseSeen:
    told: dict[str, Any] = {
        "arn": arn(region),
        "status": "available",
        "endpoint": "127.0.0.1",
        "instances": (
            Instance(
                name="payment-db-dev-1", zone=f"{region}a", status="available", is_writer=True
            ),
        ),
        "guard": Guard(group="payment-db-dev-17", limit_s=guard_s),
    }
    return DatabaseSeen(**(told | given))


def position(*, is_writable: bool, **given: Any) -> Position:
    told: dict[str, Any] = {
        "is_writable": is_writable,
        "epoch": 1,
        "commit_at": AT,
        "behind_s": 0.4,
        "payments_per_min": 600,
        "amounts_minor": {"USD": 60_000},
    }
    return Position(**(told | given))


def region(name: str, *, writes: bool, **given: Any) -> RegionSeen:
    tasks = 3 if writes else 1
    told: dict[str, Any] = {
        "name": name,
        "database": database(name, guard_s=20 if writes else None),
        "position": position(is_writable=writes),
        "capacity": Capacity(
            running=tasks, desired=tasks, count_min=tasks, count_max=6, healthy=tasks
        ),
        "alarms": (),
        "lag_ms": None if writes else 120.0,
        "is_ready": writes,
        "ready_text": "ready" if writes else "standby",
    }
    return RegionSeen(**(told | given))


def group(writer: str = OLD, **given: Any) -> GlobalSeen:
    told: dict[str, Any] = {
        "told_by": NEW,
        "status": "available",
        "members": tuple(
            Member(
                region=name,
                arn=arn(name),
                is_writer=name == writer,
                synchronization="" if name == writer else "connected",
            )
            for name in (OLD, NEW)
        ),
    }
    return GlobalSeen(**(told | given))


def world(**given: Any) -> Snapshot:
    """Return a world in which all is well, but for what is `given`."""
    told: dict[str, Any] = {
        "at": AT,
        "regions": (region(OLD, writes=True), region(NEW, writes=False)),
        "group": group(),
        "lease": Lease(OLD, 1, 40),
        "lease_moves": True,
        "dns": DnsSeen(answer=(f"{OLD}.payments.evertill.internal",)),
    }
    return Snapshot(**(told | given))


def lost_world(**given: Any) -> Snapshot:
    """Return what the survivor sees a while after the writer's region was lost."""
    seen = region(NEW, writes=False, position=position(is_writable=False, behind_s=12.0))
    gone = RegionSeen(name=OLD, is_ready=False, ready_text="no answer: ConnectTimeout")
    return world(regions=(gone, seen), lease_moves=False, **given)


def changed(snapshot: Snapshot, name: str, **given: Any) -> Snapshot:
    """Return the snapshot with one region changed."""
    regions = tuple(
        msgspec.structs.replace(item, **given) if item.name == name else item
        for item in snapshot.regions
    )
    return msgspec.structs.replace(snapshot, regions=regions)

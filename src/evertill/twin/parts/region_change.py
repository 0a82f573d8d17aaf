"""The primary moves to another region: planned, without loss, or because the old one is lost.

    switchover: caught up -> old writer stopped, its log sent -> checked -> promoted -> reversed
    failover:   old one stopped if it can be reached -> promoted
    return:     old volume kept as a snapshot -> rewound to what the new primary has -> follows

It is separate because these orders are what recovery relies on. Both hold the turns of the clusters
that they change, so that no loop starts what they stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import psycopg

from evertill.twin.errors import TwinError
from evertill.twin.parts import failover, wal
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.postgres import Instance

if TYPE_CHECKING:
    from evertill.twin.parts.global_cluster import GlobalCluster

CATCH_UP_TIMEOUT_S: Final = 120.0
# Nearly caught up: the rest is sent while the old writer stops.
CAUGHT_UP_S: Final = 2.0
LAST_BYTES_TIMEOUT_S: Final = 15.0
POLL_INTERVAL_S: Final = 0.1

TROUBLE: Final = (TwinError, psycopg.Error, OSError, TimeoutError)
Carry = Callable[["GlobalCluster", Cluster], Awaitable[None]]


class NotCaughtUp(TwinError):
    """The secondary does not catch up with the primary, so a switchover would lose something."""

    code = "not_caught_up"


async def switch_over(group: GlobalCluster, target: Cluster) -> None:
    """Move the primary to `target` without loss; raise NotCaughtUp, with everything as it was."""
    old = group.primary
    await _until_near(group, target)
    async with old.turn, target.turn:
        await old.rejoining.cancel()
        writer = old.writer
        if writer is None:
            raise NotCaughtUp
        old.is_closed = True
        try:
            await writer.stop()
            await _until_complete(writer, target)
        except TROUBLE:
            group.note("cancelling")
            await writer.start(old.settings_of(writer), old.logins())
            raise
        finally:
            old.is_closed = False
        group.set_primary(target)
        await _promote(target)
        await demote(old, target, is_clean=True)


async def fail_over(group: GlobalCluster, target: Cluster) -> None:
    """Make `target` the primary with what it has; the old one is stopped if it can be reached."""
    old = group.primary
    lag_s = group.lag_s(target)
    is_reachable = group.reaches(old, target) and not _is_lost(old)
    if is_reachable:
        async with old.turn:
            await _stop(old)
    async with target.turn:
        group.abandoned.append(old)
        group.cut_off_s[old.name] = group.world.clock.now_s()
        group.set_primary(target)
        await _promote(target)
    if _is_lost(old):
        # What is down stays so until it can be taken back.
        old.source = target
    group.tell("lost", f"Commits of the last {lag_s:.1f} s may be lost.", lag_s=round(lag_s, 3))


async def take_back(group: GlobalCluster, old: Cluster) -> None:
    """Make an old primary a secondary again, with its volume as it was kept in a snapshot."""
    async with old.turn:
        writer = old.writer
        await _stop(old)
        if writer is not None and writer.has_data:
            await group.snapshots.take_unplanned(old, writer)
        await demote(old, group.primary, is_clean=False)
    group.abandoned.remove(old)
    group.cut_off_s.pop(old.name, None)
    group.keep()
    group.tell("returned", f"{old.name} follows {group.primary.name}.")


async def promote_region(cluster: Cluster) -> None:
    """Let a secondary write for itself."""
    async with cluster.turn:
        await _promote(cluster)


async def demote(old: Cluster, primary: Cluster, *, is_clean: bool) -> None:
    """Let the members of a cluster whose writer is stopped follow another region's."""
    writer = old.writer
    old.source = primary
    old.set_writer(None)
    old.set_quorum("")
    for receiver in old.receivers.values():
        await receiver.kill()
    for instance in old.instances.values():
        if is_clean and instance is writer:
            # It ended with everything sent: it goes on where the new primary began.
            instance.follow()
            old.rejoining.begin(instance)
        elif not is_clean and instance.has_data:
            old.rejoining.begin(instance, is_stuck=True)


async def _promote(cluster: Cluster) -> None:
    await cluster.rejoining.cancel()
    cluster.is_failing_over = True
    try:
        await failover.promote(cluster)
        cluster.source = None
        # Whoever still listens to the old primary must turn to the new one.
        cluster.break_replication()
        # Its copies of the log are from another time, when it was the primary before.
        for receiver in cluster.receivers.values():
            if not cluster.is_held(receiver.place):
                await receiver.reset()
    finally:
        cluster.is_failing_over = False


async def _stop(cluster: Cluster) -> None:
    await cluster.rejoining.cancel()
    for instance in cluster.instances.values():
        await instance.kill()
    for receiver in cluster.receivers.values():
        await receiver.kill()


async def _until_near(group: GlobalCluster, target: Cluster) -> None:
    clock = group.world.clock
    deadline_s = clock.now_s() + CATCH_UP_TIMEOUT_S
    while not (_is_streaming(target) and group.lag_s(target) <= CAUGHT_UP_S):
        if clock.now_s() > deadline_s:
            group.note("cancelling")
            raise NotCaughtUp
        await asyncio.sleep(POLL_INTERVAL_S)


async def _until_complete(old: Instance, target: Cluster) -> None:
    """Wait until a standby has the stopped writer's last record."""
    control = await old.control()
    if not control["Database cluster state"].startswith("shut down"):
        message = "The old writer did not stop in good order, so its log may not be complete."
        raise NotCaughtUp(message)
    wanted = wal.position(control["Latest checkpoint location"])
    async with asyncio.timeout(LAST_BYTES_TIMEOUT_S):
        while not await _has(target, wanted):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(POLL_INTERVAL_S)


async def _has(target: Cluster, wanted: int) -> bool:
    for instance in target.instances.values():
        if instance.is_running:
            rows = await instance.ask(failover.RECEIVED)
            if wal.position(rows[0][0] or "0/0") > wanted:
                return True
    return False


def _is_streaming(cluster: Cluster) -> bool:
    return any(
        item.is_running and cluster.tending.look_of(item).is_streaming
        for item in cluster.instances.values()
    )


def _is_lost(cluster: Cluster) -> bool:
    return all(cluster.is_held(item.zone) for item in cluster.spec.instances)

"""The promotion of another writer within a region.

    the old one's whole tree dead -> logs of the survivors compared -> the longest carried to the
    one that is promoted -> promotion -> everybody follows it

It is separate because the order is the argument: an acknowledged commit is in the log of one of the
survivors, since a quorum had it; whoever is promoted gets the longest log before it writes its own,
so the commit is kept. A commit that was waiting is never cancelled here: its session dies with the
server, and whether it happened is unknown to whoever sent it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from evertill.twin.errors import PartFailed
from evertill.twin.parts import wal
from evertill.twin.parts.postgres import Instance
from evertill.twin.parts.receiver import Receiver

if TYPE_CHECKING:
    from evertill.twin.parts.cluster import Cluster

ASK_TIMEOUT_S: Final = 3.0
RECEIVED: Final = "SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"


class NoSurvivor(PartFailed):
    """No other instance of the cluster can be promoted."""

    code = "no_survivor"


class Survivor(NamedTuple):
    """An instance that can be promoted, and how much of the log it has."""

    tier: int
    received: int
    instance: Instance


async def fail_over(cluster: Cluster, reason: str, target: str = "") -> None:
    """End the writer and promote another instance; raise NoSurvivor, with the writer started again.

    The caller holds the cluster's turn.
    """
    begun_s = cluster.world.clock.now_s()
    old = cluster.writer
    cluster.is_failing_over = True
    cluster.tell("failover.started", reason, writer="" if old is None else old.member)
    try:
        await cluster.rejoining.cancel()
        if old is not None:
            await old.kill()
        try:
            chosen = await promote(cluster, target)
        except NoSurvivor:
            await _restart(cluster, old)
            raise
        took_s = cluster.world.clock.now_s() - begun_s
        cluster.tell(
            "failover.finished",
            f"{chosen.member} in {chosen.place} is the writer.",
            writer=chosen.member,
            took_s=round(took_s, 3),
        )
    finally:
        cluster.is_failing_over = False


async def promote(cluster: Cluster, target: str = "") -> Instance:
    """Promote the best standby of the cluster; raise NoSurvivor. No writer may run any more."""
    survivors = await _survivors(cluster)
    if not survivors:
        raise NoSurvivor
    chosen = min(survivors, key=lambda item: (item.instance.member != target, item.tier))
    await _complete(cluster, chosen, survivors)
    # Written down first: killed between the two, the next start finishes the promotion.
    cluster.set_writer(chosen.instance)
    await chosen.instance.promote()
    chosen.instance.reload(cluster.settings_of(chosen.instance))
    for receiver in cluster.receivers.values():
        await receiver.restart()
    return chosen.instance


async def _restart(cluster: Cluster, old: Instance | None) -> None:
    """Start the only instance again where it was: a cluster without readers waits for that."""
    if old is None or cluster.is_held(old.place):
        return
    was_standby = old.is_standby
    await old.start(cluster.settings_of(old), cluster.logins())
    if was_standby:
        # It had been chosen, and died before it was promoted.
        await old.promote()
    cluster.tell("writer.restarted", f"{old.member} in {old.place} was started again.")


async def _survivors(cluster: Cluster) -> list[Survivor]:
    tiers = {item.identifier: item.tier for item in cluster.spec.instances}
    found = []
    for instance in cluster.standbys():
        if instance.is_running and not cluster.is_held(instance.place):
            try:
                rows = await instance.ask(RECEIVED, timeout_s=ASK_TIMEOUT_S)
            except psycopg.Error:
                continue
            received = wal.position(rows[0][0] or "0/0")
            found.append(Survivor(tiers[instance.member], received, instance))
    return found


async def _complete(cluster: Cluster, chosen: Survivor, survivors: list[Survivor]) -> None:
    """Give the chosen one the longest log that there is."""
    logs = [
        (item.received, item.instance.data / "pg_wal") for item in survivors if item is not chosen
    ]
    receivers: list[Receiver] = []
    if cluster.is_primary:
        receivers = [r for r in cluster.receivers.values() if not cluster.is_held(r.place)]
    logs += [(receiver.end(), receiver.folder) for receiver in receivers]
    longest, folder = max(logs, default=(0, None), key=lambda item: item[0])
    if folder is None or longest <= chosen.received:
        return
    instance = chosen.instance
    await instance.stop()
    copied = await asyncio.to_thread(
        wal.carry_over,
        folder,
        instance.data / "pg_wal",
        chosen.received,
        cluster.world.programs.account.own,
    )
    cluster.tell(
        "failover.completed_log",
        f"{instance.member} took over the log of {folder.parent.name} from {folder.name}.",
        missing_bytes=longest - chosen.received,
        files=copied,
    )
    await instance.start(cluster.settings_of(instance), cluster.logins())

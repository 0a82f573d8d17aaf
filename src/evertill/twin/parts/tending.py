"""The loop that keeps a cluster as it should be, once a second of twin time.

It is separate from the cluster because it only looks and decides; what is done about it is done by
`failover` and `rejoining`. A writer is judged by a timed write and not by whether it runs: one that
is frozen runs, and holds its connections and locks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg

from evertill.twin.errors import PartFailed
from evertill.twin.parts import failover, wal
from evertill.twin.parts.postgres import Instance

if TYPE_CHECKING:
    from evertill.twin.parts.cluster import Cluster

INTERVAL_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 3.0
FAILURES_MAX: Final = 3
# A member that runs and receives nothing for so long, over an open link, cannot follow.
STUCK_AFTER_S: Final = 10.0
# Work takes as long as it takes: at a high speed these are no shorter than so many real seconds.
INTERVAL_MIN_S: Final = 0.2
ANSWER_MIN_S: Final = 2.5
STUCK_MIN_S: Final = 3.0

BEAT: Final = (
    "WITH beat AS (UPDATE heartbeat SET at_s = $1::float8 WHERE id = 1)"
    " SELECT pg_current_wal_insert_lsn()"
)
LOOK: Final = (
    "SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()),"
    " pg_last_wal_replay_lsn(), (SELECT status FROM pg_stat_wal_receiver)"
)
CONNECTED: Final = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"


class Look(msgspec.Struct):
    """What is known of a standby."""

    received: int = 0
    replayed: int = 0
    is_streaming: bool = False
    failures: int = 0
    silent_since_s: float | None = None


class Tending:
    """Looks after one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        """Belong to `cluster`."""
        self._cluster: Final = cluster
        self._looks: dict[str, Look] = {}
        self._failures = 0
        self._connected: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._stuck_receivers: dict[str, float] = {}
        # Called after each round, within the cluster's turn: the global cluster's guard.
        self.after: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def received(self) -> int:
        """Return the most that any standby has received."""
        return max((look.received for look in self._looks.values()), default=0)

    def connected_locals(self) -> list[str]:
        """Return which other copies of the region receive the writer's log."""
        return self._connected

    def look_of(self, instance: Instance) -> Look:
        """Return what is known of a standby."""
        return self._looks.setdefault(instance.member, Look())

    def figures_of(self, instance: Instance) -> dict[str, Any]:
        """Return how far behind an instance is, for the status."""
        cluster = self._cluster
        if instance is cluster.writer:
            return {"position": wal.written(cluster.meter.position)}
        head = cluster.source or cluster
        look = self.look_of(instance)
        now_s = cluster.world.clock.now_s()
        return {
            "streaming": look.is_streaming,
            "received": wal.written(look.received),
            "lag_s": round(head.meter.lag_s(look.received, now_s), 3),
            "replay_lag_s": round(head.meter.lag_s(look.replayed, now_s), 3),
        }

    async def _run(self) -> None:
        clock = self._cluster.world.clock
        while True:
            try:
                async with self._cluster.turn:
                    await self.round()
            except (psycopg.Error, PartFailed, OSError, TimeoutError) as trouble:
                self._cluster.tell("trouble", str(trouble))
            await asyncio.sleep(max(INTERVAL_MIN_S, clock.real_s(INTERVAL_S)))

    async def round(self) -> None:
        """Look once at everything and set right what is wrong; raise what stood in the way."""
        cluster = self._cluster
        if cluster.is_primary:
            await self._look_at_writer()
        await asyncio.gather(*(self._look_at(item) for item in cluster.standbys()))
        if cluster.is_primary:
            await self._look_at_receivers()
        for look in self.after:
            look()

    async def _look_at_writer(self) -> None:
        cluster = self._cluster
        reason = await self._what_is_wrong()
        if cluster.is_full:
            # As with RDS's `storage-full`: a failover gives no room, and undoing it all will.
            return
        if not reason:
            self._failures = 0
            return
        self._failures += 1
        if self._failures < FAILURES_MAX and self._is_running(cluster.writer):
            return
        can_do_something = any(item.is_running for item in cluster.standbys()) or (
            cluster.writer is not None and not cluster.is_held(cluster.writer.place)
        )
        if can_do_something:
            self._failures = 0
            # Without a survivor the writer was started again, and the next rounds judge it anew.
            with contextlib.suppress(failover.NoSurvivor):
                await failover.fail_over(cluster, reason)

    async def _what_is_wrong(self) -> str:
        cluster = self._cluster
        writer, clock = cluster.writer, cluster.world.clock
        if writer is None or not self._is_running(writer):
            return "The writer has ended."
        if self._is_cut_off(writer):
            return "The writer's zone reaches no other copy of the log."
        now_s = clock.now_s()
        try:
            rows = await writer.ask(BEAT, str(clock.epoch_s()), timeout_s=self._answer_s())
        except psycopg.Error as failure:
            return f"The writer does not take a write: {failure}"
        cluster.meter.note(now_s, wal.position(rows[0][0] or "0/0"))
        return ""

    def _is_cut_off(self, writer: Instance) -> bool:
        cluster = self._cluster
        others = [
            item.place
            for item in cluster.members()
            if item.place != writer.place and not cluster.is_held(item.place)
        ]
        return bool(others) and all(self._is_cut(writer.place, place) for place in others)

    def _is_cut(self, one: str, other: str) -> bool:
        links = self._cluster.world.links
        return links.way(one, other).is_cut or links.way(other, one).is_cut

    async def _look_at(self, instance: Instance) -> None:
        """Look at a standby; bring it back when it is away, frozen or cannot follow."""
        cluster = self._cluster
        if cluster.is_held(instance.place) or cluster.rejoining.is_under_way(instance):
            return
        if instance.disk.is_full:
            return
        look = self.look_of(instance)
        if not instance.is_running:
            if cluster.upstream() is not None:
                look.is_streaming, look.silent_since_s = False, None
                cluster.rejoining.begin(instance)
            return
        try:
            rows = await instance.ask(LOOK, timeout_s=self._answer_s())
        except psycopg.Error:
            look.failures += 1
            if look.failures >= FAILURES_MAX:
                look.failures = 0
                cluster.tell("member.lost", f"{instance.member} does not answer; it is restarted.")
                await instance.kill()
            return
        look.failures = 0
        received, replayed, status = rows[0]
        look.received = wal.position(received or "0/0")
        look.replayed = wal.position(replayed or "0/0")
        look.is_streaming = status == "streaming"
        self._judge(instance, look)

    def _judge(self, instance: Instance, look: Look) -> None:
        """Have a standby made anew that could follow and does not."""
        cluster = self._cluster
        head = (cluster.source or cluster).writer
        is_excused = (
            look.is_streaming
            or head is None
            or not self._is_running(head)
            or self._is_cut(instance.place, head.place)
        )
        now_s = asyncio.get_running_loop().time()
        if is_excused or look.silent_since_s is None:
            look.silent_since_s = None if is_excused else now_s
        elif now_s - look.silent_since_s > self._stuck_s():
            look.silent_since_s = None
            cluster.tell("member.diverged", f"{instance.member} cannot follow; it is made anew.")
            cluster.rejoining.begin(instance, is_stuck=True)

    async def _look_at_receivers(self) -> None:
        cluster = self._cluster
        writer = cluster.writer
        if writer is None or not self._is_running(writer):
            return
        rows = await writer.ask(CONNECTED, timeout_s=self._answer_s())
        connected = {row[0] for row in rows}
        self._connected = [item.member for item in cluster.members() if item.member in connected]
        now_s = asyncio.get_running_loop().time()
        for receiver in cluster.receivers.values():
            is_away = cluster.is_held(receiver.place) or self._is_cut(receiver.place, writer.place)
            if not is_away and not receiver.is_running:
                await receiver.start()
            if is_away or receiver.member in connected:
                self._stuck_receivers[receiver.member] = now_s
            elif now_s - self._stuck_receivers.setdefault(receiver.member, now_s) > self._stuck_s():
                self._stuck_receivers[receiver.member] = now_s
                await receiver.reset()

    @staticmethod
    def _is_running(instance: Instance | None) -> bool:
        return instance is not None and instance.is_running

    def _answer_s(self) -> float:
        return max(ANSWER_MIN_S, self._cluster.world.clock.real_s(ANSWER_TIMEOUT_S))

    def _stuck_s(self) -> float:
        return max(STUCK_MIN_S, self._cluster.world.clock.real_s(STUCK_AFTER_S))

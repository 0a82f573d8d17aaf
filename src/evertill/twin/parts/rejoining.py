"""Brings members back that do not run or do not follow: started, rewound, or copied anew.

It is separate because it takes seconds, in the background of the cluster's loop, and because a
failover has to stop it first: what it copies from may be about to die.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import psycopg

from evertill.twin.errors import PartFailed
from evertill.twin.parts.postgres import Instance

if TYPE_CHECKING:
    from evertill.twin.parts.cluster import Cluster

# After a failure, so that a source which is not there is not asked in a tight loop.
RETRY_INTERVAL_S: Final = 1.0
FOLLOW_TIMEOUT_S: Final = 8.0
_POLL_INTERVAL_S: Final = 0.05
STREAMING: Final = "SELECT status FROM pg_stat_wal_receiver WHERE status = 'streaming'"


class Rejoining:
    """The members of one cluster that are being brought back."""

    def __init__(self, cluster: Cluster) -> None:
        """Belong to `cluster`."""
        self._cluster: Final = cluster
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, instance: Instance, *, is_stuck: bool = False) -> None:
        """Bring `instance` back unless that is under way; one that is stuck runs but is behind."""
        if instance.member not in self._tasks:
            task = asyncio.create_task(self._guard(instance, is_stuck=is_stuck))
            self._tasks[instance.member] = task
            task.add_done_callback(lambda _: self._tasks.pop(instance.member, None))

    def is_under_way(self, instance: Instance) -> bool:
        """Tell whether a member is being brought back."""
        return instance.member in self._tasks

    async def cancel(self) -> None:
        """Stop bringing back whoever is being brought back."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guard(self, instance: Instance, *, is_stuck: bool) -> None:
        try:
            await self._bring_back(instance, is_stuck=is_stuck)
        except (PartFailed, psycopg.Error, OSError, TimeoutError):
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def _bring_back(self, instance: Instance, *, is_stuck: bool) -> None:
        if not instance.has_data:
            await instance.copy()
            how = "copied"
        elif is_stuck or not instance.is_standby:
            how = await self._rewind(instance)
        else:
            how = "started"
        cluster = self._cluster
        await instance.start(cluster.settings_of(instance), cluster.logins())
        if how == "started" and not await self._follows(instance):
            # It has what the writer does not, or lacks what the writer no longer keeps.
            return
        cluster.tell("member.joined", f"{instance.member} in {instance.place} is back.", how=how)

    async def _rewind(self, instance: Instance) -> str:
        """Make it a copy of the upstream, cheaply if possible."""
        await instance.kill()
        with contextlib.suppress(PartFailed):
            await instance.rewind()
            return "rewound"
        await instance.copy()
        return "copied"

    @staticmethod
    async def _follows(instance: Instance) -> bool:
        deadline_s = asyncio.get_running_loop().time() + FOLLOW_TIMEOUT_S
        while asyncio.get_running_loop().time() < deadline_s:
            if await instance.ask(STREAMING):
                return True
            await asyncio.sleep(_POLL_INTERVAL_S)
        return False

"""Whether this region can take a payment now, known without asking the database per call.

A probe asks every second; `/ready` reads what it last learned. What it learned goes stale, so a
probe that hangs is an answer too. `/health` is not here: it says only that the process answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.service import metrics
from evertill.storage.permits import Permits
from evertill.storage.sources import Sources
from evertill.storage.statements import STATEMENTS

PROBE_INTERVAL_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 2.0
STALE_AFTER_S: Final = 5.0
# The region's role is logged this often. In AWS a metric is made of these two sentences (see
# infrastructure/log_metrics.py), and alarms depend on it.
ROLE_INTERVAL_S: Final = 30.0
WRITABLE: Final = "This region takes writes."
READ_ONLY: Final = "This region takes no writes."

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Probe:
    """What is known about the database, and since when."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        sources: Sources,
        region: str,
        permits: Permits,
        *,
        speed: float = 1.0,
    ) -> None:
        """Ask the writer through `pool`, and let `sources` know what it says.

        `permits` tell whether `region` may write. With `speed` 10 the role is told ten times as
        often, as whoever counts its lines by the minute has minutes of six seconds.
        """
        self._pool = pool
        self._sources = sources
        self._region = region
        self._permits = permits
        self.is_writable = False
        self._loop = asyncio.get_running_loop()
        self._reason: str | None = "The database has not been asked yet."
        self._asked_s = self._loop.time()
        self._tell_at_s = 0.0
        self._tell_every_s = ROLE_INTERVAL_S / speed

    def reason(self) -> str | None:
        """Return why this region cannot take a payment, or None when it can."""
        if self._loop.time() - self._asked_s > STALE_AFTER_S:
            return "The database does not answer."
        if self._reason is None and self._permits().remaining_s() <= 0:
            return "This region does not hold the write lease."
        return self._reason

    async def run(self) -> None:
        """Ask again and again."""
        while True:
            began_s = self._loop.time()
            takes_writes, self._reason = await self._ask()
            self.is_writable = takes_writes is True
            self._sources.observe(began_s, takes_writes=takes_writes)
            self._asked_s = self._loop.time()
            self._tell_role()
            metrics.READY.set(self.reason() is None)
            metrics.POOL_SIZE.set(self._pool.get_stats().get("pool_size", 0))
            metrics.POOL_WAITING.set(self._pool.get_stats().get("requests_waiting", 0))
            await asyncio.sleep(PROBE_INTERVAL_S)

    def _tell_role(self) -> None:
        if self._asked_s >= self._tell_at_s:
            self._tell_at_s = self._asked_s + self._tell_every_s
            log.info(READ_ONLY if self.reason() else WRITABLE)

    async def _ask(self) -> tuple[bool | None, str | None]:
        """Return whether the database takes writes, None without an answer, and what is amiss."""
        try:
            async with (
                asyncio.timeout(PROBE_TIMEOUT_S),
                self._pool.connection() as connection,
            ):
                row = await (await connection.execute(STATEMENTS["probe"])).fetchone()
                takes_writes, epoch = row or (False, 0)
                if not takes_writes:
                    return False, "The database takes no writes: this is a standby."
                return True, await self._enter_epoch(connection, epoch)
        except (TimeoutError, psycopg.Error, PoolTimeout, TooManyRequests):
            return None, "The database cannot be reached, or has not been migrated."

    async def _enter_epoch(self, connection: Connection, epoch: int) -> str | None:
        """Bring the database to the epoch of our leave to write; it may be ahead, never behind."""
        permit = self._permits()
        if permit.remaining_s() > 0 and permit.epoch > epoch:
            log.info("the database enters epoch %d of the write lease", permit.epoch)
            parameters = {"epoch": permit.epoch, "region": self._region}
            await connection.execute(STATEMENTS["raise_epoch"], parameters)
        elif epoch > permit.epoch:
            return "The database was fenced: another region is taking over."
        return None

"""Whether this region can take a payment now, known without asking the database per call.

A probe asks every second; `/ready` reads what it last learned. What it learned goes stale, so a
probe that hangs is an answer too. `/health` is not here: it says only that the process answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.service import metrics
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

_REASONS: Final = {
    True: None,
    False: "The database takes no writes: this is a standby.",
    None: "The database cannot be reached, or has not been migrated.",
}

log = logging.getLogger(__name__)


class Probe:
    """What is known about the database, and since when."""

    def __init__(self, pool: AsyncConnectionPool, sources: Sources) -> None:
        """Ask the writer through `pool`, and let `sources` know what it says."""
        self._pool = pool
        self._sources = sources
        self._loop = asyncio.get_running_loop()
        self._reason: str | None = "The database has not been asked yet."
        self._asked_s = self._loop.time()
        self._tell_at_s = 0.0

    def reason(self) -> str | None:
        """Return why this region cannot take a payment, or None when it can."""
        if self._loop.time() - self._asked_s > STALE_AFTER_S:
            return "The database does not answer."
        return self._reason

    async def run(self) -> None:
        """Ask again and again."""
        while True:
            began_s = self._loop.time()
            takes_writes = await self._ask()
            self._sources.observe(began_s, takes_writes=takes_writes)
            self._reason = _REASONS[takes_writes]
            self._asked_s = self._loop.time()
            self._tell_role()
            metrics.READY.set(self._reason is None)
            metrics.POOL_SIZE.set(self._pool.get_stats().get("pool_size", 0))
            metrics.POOL_WAITING.set(self._pool.get_stats().get("requests_waiting", 0))
            await asyncio.sleep(PROBE_INTERVAL_S)

    def _tell_role(self) -> None:
        if self._asked_s >= self._tell_at_s:
            self._tell_at_s = self._asked_s + ROLE_INTERVAL_S
            log.info(READ_ONLY if self._reason else WRITABLE)

    async def _ask(self) -> bool | None:
        """Return whether the database takes writes, None when it does not answer."""
        try:
            async with (
                asyncio.timeout(PROBE_TIMEOUT_S),
                self._pool.connection() as connection,
            ):
                row = await (await connection.execute(STATEMENTS["probe"])).fetchone()
        except (TimeoutError, psycopg.Error, PoolTimeout, TooManyRequests):
            return None
        return row == (True,)

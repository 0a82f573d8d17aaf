"""What has to happen by itself: authorizations expire, captures are settled.

Every worker of every task runs these. The database decides who does what: rows are claimed with
SKIP LOCKED, the settlement's progress is one locked row, so running them everywhere is safe and
losing any of them is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta
from typing import Final

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.domain import ids
from evertill.storage.moves import EXPIRE_BATCH_SIZE_MAX, expire_authorizations
from evertill.storage.statements import STATEMENTS

EXPIRE_INTERVAL_S: Final = 10.0
SETTLE_INTERVAL_S: Final = 600.0
SETTLEMENT_DELAY: Final = timedelta(days=2)

log = logging.getLogger(__name__)


async def run_expiry(pool: AsyncConnectionPool, shard: int) -> None:
    """Expire authorizations, over and over, at moments that tasks don't share."""
    while True:
        await asyncio.sleep(EXPIRE_INTERVAL_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            while await expire_authorizations(pool, shard) == EXPIRE_BATCH_SIZE_MAX:
                pass
        except (psycopg.Error, PoolTimeout, TooManyRequests) as failure:
            log.warning("authorizations could not be expired", exc_info=failure)


async def run_settlement(pool: AsyncConnectionPool) -> None:
    """Settle captures, over and over."""
    while True:
        await asyncio.sleep(SETTLE_INTERVAL_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            await settle(pool)
        except (psycopg.Error, PoolTimeout, TooManyRequests) as failure:
            log.warning("captures could not be settled", exc_info=failure)


async def settle(pool: AsyncConnectionPool, delay: timedelta = SETTLEMENT_DELAY) -> int:
    """Settle what was captured more than `delay` ago; return how many balances were moved."""
    parameters = {"run_id": ids.new_id().hex(), "delay": delay}
    async with pool.connection() as connection:
        row = await (await connection.execute(STATEMENTS["settle_captures"], parameters)).fetchone()
    return int(row[0]) if row else 0

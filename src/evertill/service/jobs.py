"""What has to happen by itself: balances are folded, authorizations expire, captures are settled.

Old decisions of the validation function are deleted too, as it may not do that itself. Beside that,
the outbox is measured, because nobody asks for a backlog until it is too late.

Every worker of every task runs these. The database decides who does what: rows are claimed with
SKIP LOCKED, the settlement's progress is one locked row, one session folds at a time. So running
them everywhere is safe, and losing any of them is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.domain import ids
from evertill.domain.tempo import paced
from evertill.service import metrics
from evertill.storage import outbox, permits, webhooks
from evertill.storage.moves import EXPIRE_BATCH_SIZE_MAX, expire_authorizations
from evertill.storage.permits import Permits
from evertill.storage.statements import STATEMENTS

# Whoever reads a balance adds up what is not folded yet, so the interval bounds that reader's work.
FOLD_INTERVAL_S: Final = 1.0
# While nothing is posted it is looked for less and less often, down to this.
FOLD_INTERVAL_MAX_S: Final = 4.0
# A transaction of so many takes a few milliseconds, and then the payments have the processor: more
# at once made one in a hundred of them wait 50 ms longer.
FOLD_BATCHES_MAX: Final = 32
FOLD_REST_FACTOR: Final = 3
EXPIRE_INTERVAL_S: Final = 10.0
SETTLE_INTERVAL_S: Final = 600.0
SETTLEMENT_DELAY: Final = timedelta(days=2)
MEASURE_INTERVAL_S: Final = 5.0
FORGET_INTERVAL_S: Final = 60.0
FORGET_BATCH_SIZE_MAX: Final = 5_000

T = TypeVar("T")

log = logging.getLogger(__name__)


async def run_folding(pool: AsyncConnectionPool) -> None:
    """Fold what was posted into the stored balances, over and over."""
    interval_s = FOLD_INTERVAL_S
    while True:
        folded = await _after(interval_s, lambda: fold(pool), "balances could not be folded")
        interval_s = FOLD_INTERVAL_S if folded else min(interval_s * 2, FOLD_INTERVAL_MAX_S)


async def run_expiry(pool: AsyncConnectionPool, allowed: Permits, speed: float) -> None:
    """Expire authorizations, over and over."""

    async def expire() -> None:
        while await expire_authorizations(pool, allowed) == EXPIRE_BATCH_SIZE_MAX:
            pass

    interval_s = paced(EXPIRE_INTERVAL_S, speed)
    await _repeat(interval_s, expire, "authorizations could not be expired")


async def run_settlement(pool: AsyncConnectionPool, allowed: Permits, speed: float) -> None:
    """Settle captures, over and over."""
    interval_s = paced(SETTLE_INTERVAL_S, speed)
    await _repeat(interval_s, lambda: settle(pool, allowed), "captures could not be settled")


async def run_forgetting(pool: AsyncConnectionPool, speed: float) -> None:
    """Delete old decisions of the validation function, over and over."""
    interval_s = paced(FORGET_INTERVAL_S, speed)
    await _repeat(interval_s, lambda: forget(pool), "old validations could not be deleted")


async def run_measuring(pool: AsyncConnectionPool, speed: float) -> None:
    """Publish what waits in the outbox, over and over."""
    interval_s = paced(MEASURE_INTERVAL_S, speed)
    await _repeat(interval_s, lambda: _measure(pool), "the outbox could not be measured")


async def fold(pool: AsyncConnectionPool) -> int:
    """Fold all that was posted, some batches in each transaction; return how many there were."""
    loop = asyncio.get_running_loop()
    folded, total = FOLD_BATCHES_MAX, 0
    while folded == FOLD_BATCHES_MAX:
        began_s = loop.time()
        folded = await _call(pool, "fold_balances", {"most": FOLD_BATCHES_MAX})
        total += folded
        await asyncio.sleep((loop.time() - began_s) * FOLD_REST_FACTOR)
    return total


async def forget(pool: AsyncConnectionPool) -> None:
    """Delete all decisions that are old enough, a bounded number in each transaction."""
    forgotten = FORGET_BATCH_SIZE_MAX
    while forgotten == FORGET_BATCH_SIZE_MAX:
        forgotten = await _call(pool, "forget_validations", {"most": FORGET_BATCH_SIZE_MAX})


async def settle(
    pool: AsyncConnectionPool, allowed: Permits, delay: timedelta = SETTLEMENT_DELAY
) -> int:
    """Settle what was captured more than `delay` ago; return how many balances were moved."""
    permit = allowed()
    async with pool.connection() as connection:
        clock = await (await connection.execute(STATEMENTS["read_clock"])).fetchone()
        parameters: dict[str, object] = {
            "run_id": ids.new_id().hex(),
            "delay": delay,
            "of_epoch": permit.epoch,
            "lease_end": clock and permits.end(permit, clock[0]),
        }
        return await _number(connection, "settle_captures", parameters)


async def _measure(pool: AsyncConnectionPool) -> None:
    for receiver, (batches, oldest_s) in (await outbox.measure(pool)).items():
        metrics.observe_outbox(receiver.name.lower(), batches, oldest_s)
    metrics.observe_webhook_backlog(*await webhooks.measure(pool))


async def _call(pool: AsyncConnectionPool, statement: str, parameters: dict[str, object]) -> int:
    async with pool.connection() as connection:
        return await _number(connection, statement, parameters)


async def _number(
    connection: psycopg.AsyncConnection[Any], statement: str, parameters: dict[str, object]
) -> int:
    row = await (await connection.execute(STATEMENTS[statement], parameters)).fetchone()
    return int(row[0]) if row else 0


async def _repeat(interval_s: float, work: Callable[[], Awaitable[object]], complaint: str) -> None:
    """Do `work` again and again, at moments that tasks don't share."""
    while True:
        await _after(interval_s, work, complaint)


async def _after(interval_s: float, work: Callable[[], Awaitable[T]], complaint: str) -> T | None:
    """Do `work` after a while, at a moment that tasks don't share; return None when it failed."""
    await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    try:
        return await work()
    except (psycopg.Error, PoolTimeout, TooManyRequests) as failure:
        log.warning(complaint, exc_info=failure)
        return None

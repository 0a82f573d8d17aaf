"""Webhooks are sent as fast as the process can while it is idle, and slowly while it is not."""

from __future__ import annotations

import asyncio
import time

from evertill.journal.webhooks import LATE_S, SETTLE_PAUSE_S, Pace

BUSY_S = SETTLE_PAUSE_S + 2 * LATE_S
PAUSES_MAX = 1_000
SEVERAL = 4


async def work_without_rest() -> None:
    """Take the processor for longer than a pause, again and again."""
    while True:
        time.sleep(BUSY_S)  # noqa: ASYNC251 - that is the point
        await asyncio.sleep(0)


async def pauses_until(pace: Pace, size: int) -> None:
    """Pause until so many attempts may begin at once."""
    for _ in range(PAUSES_MAX):
        if pace.size == size:
            return
        await pace.give_way()
    raise AssertionError(f"{pace.size} attempts are begun at once")


def test_while_the_process_is_idle_more_attempts_are_begun_and_fewer_while_it_is_busy() -> None:
    async def run() -> None:
        pace = Pace()
        await pauses_until(pace, SEVERAL)
        working = asyncio.create_task(work_without_rest())
        await pauses_until(pace, 1)
        working.cancel()
        await pauses_until(pace, 2)

    asyncio.run(run())

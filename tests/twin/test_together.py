"""What is started at once ends at once: nothing goes on behind the back of who cleans up."""

from __future__ import annotations

import asyncio

import pytest

from evertill.twin.errors import PartFailed
from evertill.twin.running.twin import together


async def slow(began: asyncio.Event, log: list[str]) -> None:
    try:
        began.set()
        await asyncio.sleep(60)
        log.append("went on")
    finally:
        # A part that is cancelled has something to give back, which takes a moment.
        await asyncio.sleep(0)
        log.append("ended")


async def failing(began: asyncio.Event) -> None:
    await began.wait()
    raise PartFailed("It did not start.")


def test_when_one_fails_the_others_have_ended_before_it_is_told() -> None:
    log: list[str] = []

    async def story() -> None:
        began = asyncio.Event()
        with pytest.raises(PartFailed, match="did not start"):
            await together([slow(began, log), failing(began)])
        log.append("told")

    asyncio.run(story())
    assert ["ended", "told"] == log


def test_when_nobody_waits_any_more_all_have_ended() -> None:
    log: list[str] = []

    async def story() -> None:
        began = asyncio.Event()
        waiting = asyncio.create_task(together([slow(began, log)]))
        await began.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        log.append("told")

    asyncio.run(story())
    assert ["ended", "told"] == log

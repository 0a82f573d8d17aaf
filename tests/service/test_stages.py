"""Work that is done together for all that came at once."""

from __future__ import annotations

import asyncio

from evertill.service.stages import Stage


def test_what_comes_in_one_turn_is_worked_on_in_the_next_in_its_order() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        stage = Stage(done.append)
        stage.add("first")
        stage.add("second")
        done.append("turn")
        await asyncio.sleep(0)
        stage.add("third")
        await asyncio.sleep(0)
        return done

    assert ["turn", "first", "second", "third"] == asyncio.run(run())


def test_an_item_that_fails_takes_none_with_it() -> None:
    async def run() -> list[int]:
        done: list[int] = []
        stage = Stage[int](lambda item: done.append(10 // item))
        for item in (5, 0, 2):
            stage.add(item)
        await asyncio.sleep(0)
        return done

    assert [2, 5] == asyncio.run(run())

"""A task that runs once ends with its exit code, and nobody starts it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.twin.tasks import REGION, ZONES, Bench, bench, container, definition

from evertill.twin.events import Timeline
from evertill.twin.parts.runner import Runner


def told(folder: Path, story: Callable[[Runner, Timeline], Awaitable[None]]) -> None:
    async def run() -> None:
        async with bench(folder) as tools:
            timeline = Timeline(tools.clock)
            await story(runner(tools, timeline), timeline)

    asyncio.run(run())


def runner(tools: Bench, timeline: Timeline) -> Runner:
    return Runner(
        REGION,
        tools.tools,
        tools.folder / "once",
        addresses=tools.addresses,
        timeline=timeline,
    )


def test_its_exit_code_is_kept(tmp_path: Path) -> None:
    async def story(runner: Runner, timeline: Timeline) -> None:
        task = runner.run(definition(container("sh", "-c", "exit 4")), ZONES[1])
        await task.wait()
        await runner.stop()
        assert [{"web": 4}] == [known.exit_codes for known in runner.tasks]
        assert ["task.started", "task.stopped"] == [event.kind for event in timeline.kept()]
        assert ZONES[1] == task.zone

    told(tmp_path, story)


def test_what_still_runs_is_ended_with_the_twin(tmp_path: Path) -> None:
    async def story(runner: Runner, timeline: Timeline) -> None:
        del timeline
        task = runner.run(definition(container("sleep", "600")), ZONES[0])
        await asyncio.sleep(0)
        await runner.stop()
        assert "STOPPED" == task.status

    told(tmp_path, story)

"""A wall clock jumps for those processes whose clock it is, and the monotonic one does not."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
from tests.support.databases import Load, databases, owner_login, running, until_complete

from evertill.twin.parts.clocks import LOOK_INTERVAL_S, CannotJump, Clocks

REGION, OTHER = "us-east-1", "us-east-2"
# Between the looks of a process at its file, and on a busy machine.
LATE_S = LOOK_INTERVAL_S + 5
JUMP_S = 300.0
TELL = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)\n"


class Teller:
    """A program that tells what time it is."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def off_s(self) -> tuple[float, float]:
        """Return how far off its wall clock and its monotonic one are."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        told = (await self._process.stdout.readline()).split()
        return float(told[0]) - time.time(), float(told[1]) - time.monotonic()

    async def until_off(self, wanted_s: float) -> None:
        """Wait until its wall clock is off by so much; its monotonic one is right all the time."""
        async with asyncio.timeout(LATE_S):
            while True:
                wall_s, monotonic_s = await self.off_s()
                assert abs(monotonic_s) < 1
                if abs(wall_s - wanted_s) < 1:
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def teller(clocks: Clocks, region: str, name: str) -> AsyncIterator[Teller]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", TELL),
        env=dict(clocks.environment(region, name)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Teller(process)
    finally:
        process.kill()
        await process.wait()


async def clocks_below(folder: Path) -> Clocks:
    clocks = Clocks(folder / "clocks", are_wanted=True)
    await clocks.prepare()
    if not clocks.can_jump:
        pytest.skip("libfaketime does not work here")
    return clocks


def test_the_clocks_of_a_region_jump_and_jump_back_and_no_others_do(tmp_path: Path) -> None:
    async def story() -> None:
        clocks = await clocks_below(tmp_path)
        async with teller(clocks, REGION, "a") as here, teller(clocks, OTHER, "b") as there:
            clocks.jump(REGION, JUMP_S)
            await here.until_off(JUMP_S)
            await there.until_off(0)
            async with teller(clocks, REGION, "later") as later:
                await later.until_off(JUMP_S)
            clocks.jump(REGION, -JUMP_S)
            await here.until_off(0)

    asyncio.run(story())


def test_one_clock_jumps_alone_and_by_more_where_its_region_jumps_too(tmp_path: Path) -> None:
    async def story() -> None:
        clocks = await clocks_below(tmp_path)
        async with teller(clocks, REGION, "a") as one, teller(clocks, REGION, "b") as other:
            clocks.jump(REGION, -JUMP_S, "a")
            await one.until_off(-JUMP_S)
            await other.until_off(0)
            clocks.jump(REGION, 3 * JUMP_S)
            await one.until_off(2 * JUMP_S)
            await other.until_off(3 * JUMP_S)

    asyncio.run(story())


def test_a_database_whose_clock_jumps_takes_every_commit_there_and_back() -> None:
    async def story() -> None:
        async with databases() as world:
            clocks = await clocks_below(world.folder)
            programs = world.programs._replace(clock=lambda name: clocks.environment(REGION, name))
            world.world = msgspec.structs.replace(world.world, programs=programs)
            cluster = world.cluster(world.spec())
            async with running(cluster):
                await until_complete(cluster)
                writer = cluster.writer
                assert writer is not None
                load = Load(lambda: owner_login(writer))
                await load.prepare()
                async with load.running():
                    for jump_s, off_s in ((JUMP_S, JUMP_S), (-2 * JUMP_S, -JUMP_S), (JUMP_S, 0)):
                        clocks.jump(REGION, jump_s)
                        await until_off(owner_login(writer), off_s)
                        await load.until_more(50)
                assert cluster.writer is writer
                assert set() == await load.missing(owner_login(writer))

    asyncio.run(story())


async def until_off(login: str, wanted_s: float) -> None:
    """Wait until a database's clock is off by so much."""
    connection = await psycopg.AsyncConnection.connect(login, autocommit=True)
    async with connection, asyncio.timeout(LATE_S):
        off_s = float("inf")
        while abs(off_s - wanted_s) > 1:
            told = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            row = await told.fetchone()
            assert row is not None
            off_s = row[0] - time.time()


def test_a_twin_that_was_not_started_for_it_has_no_clock_that_jumps(tmp_path: Path) -> None:
    async def story() -> None:
        clocks = Clocks(tmp_path / "clocks", are_wanted=False)
        await clocks.prepare()
        assert {} == clocks.environment(REGION, "a")
        with pytest.raises(CannotJump, match="--clock-faults"):
            clocks.jump(REGION, JUMP_S)

    asyncio.run(story())

"""A cluster whose disks are full says so, loses nothing, and goes on when there is room again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
import pytest
from tests.support.databases import (
    Databases,
    Load,
    databases,
    owner_login,
    running,
    until_complete,
    until_silent,
)

from evertill.commands.twin import DISK_MIN_MB
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.small_disk import CannotFill, SmallDisk

WIDE = "INSERT INTO wide SELECT repeat(md5(n::text), 200) FROM generate_series(1, 2000) AS n"


@asynccontextmanager
async def small_disks(world: Databases) -> AsyncIterator[Cluster]:
    """Give a complete cluster on small disks; skip where the kernel lets nobody have one."""
    world.world = msgspec.structs.replace(world.world, disk_mb=DISK_MIN_MB)
    cluster = world.cluster(world.spec())
    async with running(cluster):
        await until_complete(cluster)
        if not all(item.disk.is_small for item in cluster.instances.values()):
            pytest.skip("this kernel gives no user namespaces")
        yield cluster


async def fails(cluster: Cluster, statement: str) -> psycopg.Error | None:
    """Return how a statement of the owner fails at the writer, None when it does not."""
    assert cluster.writer is not None
    try:
        connection = await psycopg.AsyncConnection.connect(
            owner_login(cluster.writer), autocommit=True
        )
        async with connection:
            await connection.execute(statement)
    except psycopg.Error as failure:
        return failure
    return None


def login_of(cluster: Cluster) -> str | None:
    return owner_login(cluster.writer) if cluster.writer_peer() and cluster.writer else None


def test_a_full_disk_refuses_what_needs_room_and_takes_it_when_there_is_some_again() -> None:
    async def story() -> None:
        async with databases() as world, small_disks(world) as cluster:
            assert await fails(cluster, "CREATE TABLE wide (text text)") is None
            await cluster.fill_disks()
            assert "storage-full" == cluster.state
            failure = await fails(cluster, WIDE)
            assert isinstance(failure, psycopg.errors.DiskFull)
            assert "No space left on device" in str(failure)
            assert await fails(cluster, "SELECT count(*) FROM wide") is None
            await cluster.empty_disks()
            assert await fails(cluster, WIDE) is None
            assert "available" == cluster.state

    asyncio.run(story())


def test_a_server_that_dies_on_a_full_disk_loses_nothing_and_goes_on_with_the_room() -> None:
    async def story() -> None:
        async with databases() as world, small_disks(world) as cluster:
            load = Load(lambda: login_of(cluster))
            await load.prepare()
            async with load.running():
                await load.until_more(100)
                await cluster.fill_disks()
                await fails(cluster, "CHECKPOINT")
                assert cluster.writer is not None
                await cluster.writer.kill()
                await until_silent(load)
                await cluster.empty_disks()
                await load.until_more(100)
                await until_complete(cluster)
            assert set() == await load.missing(owner_login(cluster.writer))

    asyncio.run(story())


def test_nothing_outside_is_filled_and_nothing_is_left_of_a_small_disk() -> None:
    async def story() -> None:
        async with databases() as world:
            folder = world.folder / "disk"
            world.programs.make_folder(folder)
            disk = SmallDisk("disk", folder, 16, world.programs.account, world.processes)
            before = free_bytes(folder)
            await disk.start()
            if not disk.is_small:
                pytest.skip("this kernel gives no user namespaces")
            (disk.path / "data").touch()
            await disk.fill()
            assert 0 == free_bytes(disk.path)
            with pytest.raises(OSError, match="No space left on device"):
                (disk.path / "data").write_bytes(b"x" * 8192)
            assert [] == list(folder.iterdir())
            assert before - free_bytes(folder) < 8 * 1024 * 1024
            await disk.empty()
            (disk.path / "data").write_bytes(b"x" * 8192)
            await disk.stop()
            assert [] == list(world.processes.running())

    asyncio.run(story())


def test_the_disk_of_the_machine_is_not_filled() -> None:
    async def story() -> None:
        async with databases() as world:
            cluster = world.cluster(world.spec(instances=1))
            async with running(cluster):
                with pytest.raises(CannotFill, match="not started with small disks"):
                    await cluster.fill_disks()
                assert "available" == cluster.state

    asyncio.run(story())


def free_bytes(path: Any) -> int:
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize

"""A cluster loses no acknowledged commit when its writer, a reader or a zone is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import psutil
import psycopg
from tests.support.databases import (
    Databases,
    Load,
    databases,
    owner_login,
    running,
    until,
    until_complete,
    until_silent,
)

from evertill.twin.links import OPEN, Way
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.postgres import Instance


class Scene(NamedTuple):
    """A complete cluster under load."""

    world: Databases
    cluster: Cluster
    load: Load

    @property
    def writer(self) -> Instance:
        assert self.cluster.writer is not None
        return self.cluster.writer

    async def until_moved(self, old: Instance) -> None:
        await until(lambda: self.cluster.writer is not old, "a failover")
        await self.load.until_more(100)

    async def missing(self) -> set[int]:
        return await self.load.missing(owner_login(self.writer))


def login_of(cluster: Cluster) -> str | None:
    return owner_login(cluster.writer) if cluster.writer_peer() and cluster.writer else None


@asynccontextmanager
async def under_load(speed: float = 10.0) -> AsyncIterator[Scene]:
    async with databases(speed) as made:
        cluster = made.cluster(made.spec())
        async with running(cluster):
            await until_complete(cluster)
            load = Load(lambda: login_of(cluster))
            await load.prepare()
            async with load.running():
                await load.until_more(100)
                yield Scene(made, cluster, load)


def test_a_killed_writer_is_replaced_and_comes_back_as_a_reader() -> None:
    async def story() -> None:
        async with under_load() as scene:
            old = scene.writer
            await old.kill()
            await scene.until_moved(old)
            await until_complete(scene.cluster)
            assert set() == await scene.missing()
            assert old.is_standby

    asyncio.run(story())


def test_a_frozen_writer_is_found_by_its_silence_and_dead_before_another_writes() -> None:
    async def story() -> None:
        async with under_load() as scene:
            old = scene.writer
            tree = old.tree()
            old.freeze()
            await scene.until_moved(old)
            assert tree
            assert [] == [process for process in tree if is_alive(process)]
            assert set() == await scene.missing()

    asyncio.run(story())


def test_a_lost_reader_blocks_no_commit_and_comes_back() -> None:
    async def story() -> None:
        async with under_load() as scene:
            writer, reader = scene.writer, scene.cluster.standbys()[0]
            await scene.cluster.hold(reader.place)
            await scene.load.until_more(200)
            scene.cluster.release(reader.place)
            await until_complete(scene.cluster)
            assert scene.writer is writer

    asyncio.run(story())


def test_a_commit_that_only_the_third_zone_has_survives_the_loss_of_the_writer() -> None:
    async def story() -> None:
        async with under_load() as scene:
            old, reader = scene.writer, scene.cluster.standbys()[0]
            # The reader hears nothing any more, so only the copy of the log confirms commits.
            scene.world.links.set(old.place, reader.place, Way(is_cut=True))
            await scene.load.until_more(200)
            await old.kill()
            await scene.until_moved(old)
            scene.world.links.set(old.place, reader.place, OPEN)
            assert scene.writer is reader
            assert set() == await scene.missing()
            kinds = [event.kind for event in scene.world.timeline.kept()]
            assert "database.failover.completed_log" in kinds

    asyncio.run(story())


def test_a_lost_zone_moves_the_writer_and_a_second_one_stops_commits_until_it_is_back() -> None:
    async def story() -> None:
        async with under_load() as scene:
            old = scene.writer
            await scene.cluster.hold(old.place)
            await scene.until_moved(old)
            third = next(iter(scene.cluster.receivers.values())).place
            await scene.cluster.hold(third)
            await until_silent(scene.load)
            scene.cluster.release(old.place, third)
            await scene.load.until_more(100)
            await until_complete(scene.cluster)
            assert set() == await scene.missing()

    asyncio.run(story())


def test_a_writer_that_is_cut_off_from_every_other_zone_is_replaced() -> None:
    async def story() -> None:
        async with under_load() as scene:
            old = scene.writer
            scene.world.links.set(old.place, scene.world.links.ANY, Way(is_cut=True))
            scene.world.links.set(scene.world.links.ANY, old.place, Way(is_cut=True))
            await scene.until_moved(old)
            assert set() == await scene.missing()
            scene.world.links.set(old.place, scene.world.links.ANY, OPEN)
            scene.world.links.set(scene.world.links.ANY, old.place, OPEN)
            await until_complete(scene.cluster)

    asyncio.run(story())


def test_a_cluster_of_one_instance_starts_it_again_where_it_was() -> None:
    async def story() -> None:
        async with databases() as made:
            cluster = made.cluster(made.spec(instances=1))
            async with running(cluster):
                load = Load(lambda: login_of(cluster))
                await load.prepare()
                async with load.running():
                    await load.until_more(50)
                    writer = cluster.writer
                    assert writer is not None
                    await writer.kill()
                    await load.until_more(50)
                assert cluster.writer is writer
                assert set() == await load.missing(owner_login(writer))

    asyncio.run(story())


def test_data_and_roles_survive_a_stop_and_a_start() -> None:
    async def story() -> None:
        async with databases() as made:
            first = made.cluster(made.spec())
            async with running(first):
                await until_complete(first)
                load = Load(lambda: login_of(first))
                await load.prepare()
                async with load.running():
                    await load.until_more(50)
                await first.fail_over()
                assert first.writer is not None
                writer = first.writer.member
            again = made.cluster(made.spec())
            async with running(again):
                await until_complete(again)
                assert again.writer is not None
                assert writer == again.writer.member
                assert set() == await load.missing(owner_login(again.writer))

    asyncio.run(story())


def test_the_first_user_may_let_others_log_in_by_iam_and_is_no_superuser() -> None:
    async def story() -> None:
        async with databases() as made:
            cluster = made.cluster(made.spec(instances=1))
            async with running(cluster):
                assert cluster.writer is not None
                login = owner_login(cluster.writer)
                connection = await psycopg.AsyncConnection.connect(login, autocommit=True)
                async with connection:
                    await connection.execute("CREATE ROLE app LOGIN")
                    await connection.execute("GRANT rds_iam TO app")
                    row = await (
                        await connection.execute(
                            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
                        )
                    ).fetchone()
                assert (False,) == row

    asyncio.run(story())


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process can still do something; a zombie waits for its parent only."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

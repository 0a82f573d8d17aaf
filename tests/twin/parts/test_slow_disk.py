"""A cluster whose storage is slow takes so much longer to commit, and to commit only."""

from __future__ import annotations

import asyncio
import time

import psycopg
from tests.support.databases import databases, owner_login, running, until_complete

DELAY_MS = 300
DELAY_S = DELAY_MS / 1000


async def took_s(connection: psycopg.AsyncConnection, statement: str) -> float:
    """Return the shortest of three times, which no other work on the machine made longer."""
    times = []
    for _ in range(3):
        began_s = time.monotonic()
        await connection.execute(statement)
        times.append(time.monotonic() - began_s)
    return min(times)


def test_slow_storage_delays_commits_and_neither_reads_nor_loses_a_commit() -> None:
    async def story() -> None:
        async with databases(speed=1) as world:
            cluster = world.cluster(world.spec())
            async with running(cluster):
                await until_complete(cluster)
                writer = cluster.writer
                assert writer is not None
                connection = await psycopg.AsyncConnection.connect(
                    owner_login(writer), autocommit=True
                )
                async with connection:
                    await connection.execute("CREATE TABLE taken (id int)")
                    cluster.slow_disks(DELAY_MS)
                    insert, read = "INSERT INTO taken VALUES (1)", "SELECT count(*) FROM taken"
                    assert DELAY_S <= await took_s(connection, insert)
                    assert await took_s(connection, read) < DELAY_S
                    cluster.slow_disks(-DELAY_MS)
                    assert await took_s(connection, insert) < DELAY_S
                assert cluster.writer is writer

    asyncio.run(story())

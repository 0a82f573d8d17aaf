"""What it would cost to tell another region of each payment before saying yes (ADR 0059).

Two regions of the twin's database, a link between them with a delay, and payments one after the
other. A commit is acknowledged by its own region's three zones, as always; then it is awaited that
the other region's copy has flushed it and has said so. That second wait is what a synchronous
intent, or a synchronous commit, adds to every payment, however many share a commit.

    .venv/bin/python -m benchmarks.intent
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

import psycopg
from tests.support.databases import owner_login
from tests.support.regions import EAST, WEST, Scene, two_regions

from evertill.twin.links import Way

# One way, in milliseconds: none, Ohio and Virginia, the two coasts.
DELAYS_MS: Final = (0.0, 6.0, 35.0)
COMMITS: Final = 200
WARM_UP: Final = 20
MS_PER_S: Final = 1_000.0
# Where the region's own writer is db-1, the one that follows under that name is the other region's.
FLUSHED: Final = """
    SELECT flush_lsn >= %s::pg_lsn FROM pg_stat_replication WHERE application_name = 'db-1'
"""
Times = tuple[list[float], list[float]]


async def main() -> None:
    """Measure each delay and print the table."""
    async with two_regions() as scene:
        print("| delay one way | commit p50 | p99 | with the other region p50 | p99 | added p50 |")
        print("|---:|---:|---:|---:|---:|---:|")
        for delay_ms in DELAYS_MS:
            scene.world.links.set(EAST, WEST, Way(delay_ms=delay_ms * scene.world.clock.speed))
            scene.world.links.set(WEST, EAST, Way(delay_ms=delay_ms * scene.world.clock.speed))
            own, both = await measured(scene)
            cells = [_p(own, 50), _p(own, 99), _p(both, 50), _p(both, 99)]
            added = statistics.median(b - o for o, b in zip(own, both, strict=True))
            told = " | ".join(f"{cell:.1f} ms" for cell in (*cells, added))
            print(f"| {delay_ms:g} ms | {told} |")


async def measured(scene: Scene) -> Times:
    """Return how long commits took in their own region, and until the other one had them."""
    assert scene.east.writer is not None
    login = owner_login(scene.east.writer)
    own: list[float] = []
    both: list[float] = []
    async with await psycopg.AsyncConnection.connect(login, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS intents (number bigserial)")
        for _ in range(WARM_UP + COMMITS):
            began_s = time.perf_counter()
            await connection.execute("INSERT INTO intents DEFAULT VALUES")
            own.append((time.perf_counter() - began_s) * MS_PER_S)
            row = await (await connection.execute("SELECT pg_current_wal_lsn()")).fetchone()
            assert row is not None
            while not await _is_there(connection, row[0]):  # noqa: ASYNC110 - a view tells nobody
                await asyncio.sleep(0)
            both.append((time.perf_counter() - began_s) * MS_PER_S)
    return own[WARM_UP:], both[WARM_UP:]


async def _is_there(connection: psycopg.AsyncConnection[tuple[object, ...]], lsn: object) -> bool:
    row = await (await connection.execute(FLUSHED, [lsn])).fetchone()
    return bool(row and row[0])


def _p(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    asyncio.run(main())

"""A relay without a service around it, and what a log holds, read back without our reader."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.postgres import Database
from tests.support.service import START_TIMEOUT_S

from evertill.domain.outbox import Receiver
from evertill.journal.relay import LogRelay
from evertill.journal.stores import Store
from evertill.storage.outbox import PostgresOutbox

REGION = "us-east-1"
POLL_S = 0.02
WAITING = "SELECT count(*) FROM outbox WHERE pending & 1 <> 0"


def connector(database: Database) -> partial[Any]:
    """Return what connects a relay to the outbox of `database`."""
    return partial(
        PostgresOutbox.connect,
        database.service_url,
        receiver=Receiver.LOG,
        served=frozenset({Receiver.LOG}),
    )


def relay_until(database: Database, store: Store, condition: Callable[[], bool]) -> None:
    """Relay, as one worker does, until `condition` holds; then end as a killed worker would."""

    async def run() -> None:
        relay = LogRelay(connector(database), store, REGION, lambda _records, _lag_s: None)
        task = asyncio.create_task(relay.run())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await asyncio.to_thread(condition):
                    assert not task.done()
                    await asyncio.sleep(POLL_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def drain(database: Database, store: Store) -> None:
    """Relay everything that waits."""
    relay_until(database, store, lambda: database.rows(WAITING) == [(0,)])


def objects(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the objects below a folder, manifest first, as anybody can read them."""
    return [
        (
            path.relative_to(folder).as_posix(),
            [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()],
        )
        for path in sorted(folder.rglob("*.gz"))
    ]


def in_order(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the objects as a consumer reads them: each chain behind the one that it follows."""
    chains: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for key, lines in sorted(objects(folder), key=lambda named: named[1][0]["sequence"]):
        chains.setdefault(lines[0]["chain"], []).append((key, lines))
    left, ordered = dict(chains), []
    while left:
        # Where several follow the same object, all but the last wrote what was not acknowledged.
        chain = min(name for name in left if _followed(left[name]) not in left)
        ordered += left.pop(chain)
    return ordered


def _followed(chain: list[tuple[str, list[dict[str, Any]]]]) -> str | None:
    follows: dict[str, str] | None = chain[0][1][0]["follows"]
    return follows["chain"] if follows else None


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of an object, as a forger would."""
    lines = gzip.decompress(path.read_bytes()).splitlines()
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in change(lines))))

"""What drills are tried on without a twin: a supervised service and a PostgreSQL, both killable.

The load comes through the drill's own clients, and its history is read back from disk.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.postgres import Database
from tests.support.service import Merchant

from evertill.drill.books import Books, read_books
from evertill.drill.checker import Evidence
from evertill.drill.doors import FixedDoor
from evertill.drill.history import History, begin, read_history
from evertill.drill.log import LogBooks, read_log
from evertill.drill.sending import Sender
from evertill.drill.workload import Clients, Workload
from evertill.journal.stores import FolderStore

DELIVERED_TIMEOUT_S = 30.0
POLL_S = 0.1
BRISK = Workload(payments_per_s=30, observers=("active",), patience_s=60)
# What happens meanwhile, told when it is from the history's clock; the marks are its seconds.
Story = Callable[[Callable[[], float]], Awaitable[None]]


class Run(NamedTuple):
    """What is left of a run: the history as it was read back, and the rest of the evidence."""

    history: History
    evidence: Evidence


async def drill(url: str, key: str, folder: Path, story: Story, load: Workload = BRISK) -> History:
    """Run the load while `story` happens; return the history as its file tells it."""
    path = folder / f"history-{secrets.token_hex(4)}.ndjson"
    file = begin(path, run=secrets.token_hex(4), seed=7)
    sender = Sender(key, ssl.create_default_context(), load.timeout_s)
    clients = Clients(load, [FixedDoor("active", url, "localhost", "here")], sender, file)
    stopping = asyncio.Event()
    async with file.writing():
        running = asyncio.create_task(clients.run(stopping))
        try:
            await story(file.now_s)
        finally:
            stopping.set()
            await running
        await clients.replay()
    await sender.close()
    return read_history(path)


def books_of(database: Database, merchant: Merchant) -> Books:
    """Read the database when all of its events were handed over."""
    books = read_books("here", database.admin_url, merchant.key)
    assert books is not None
    return books


async def evidence_of(
    history: History, database: Database, merchant: Merchant, log: Path
) -> Evidence:
    """Wait until the log has everything, then read all there is."""
    async with asyncio.timeout(DELIVERED_TIMEOUT_S):
        while (books := await asyncio.to_thread(books_of, database, merchant)).undelivered:  # noqa: ASYNC110 - SQL tells nobody
            await asyncio.sleep(POLL_S)
    return Evidence(history=history, books=books, logs=[log_of(log, merchant)])


def log_of(log: Path, merchant: Merchant) -> LogBooks:
    """Read the log."""
    return read_log("here", FolderStore(log), merchant.merchant_id)

"""The relay moves events from the outbox to the log, whole and in order, whatever fails."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import psycopg
import pytest
from tests.journal.parts import REGION, connector, drain, in_order, objects, relay_until
from tests.storage.parts import merchant_with, put, submission
from tests.support.postgres import Database

from evertill.domain import ids
from evertill.domain.outbox import Head, OutboxUnavailable, Term
from evertill.journal.stores import FolderStore, StoreUnavailable
from evertill.journal.verify import verify
from evertill.storage.outbox import PostgresOutbox


def pay(database: Database, count: int = 3, batches: int = 1) -> list[str]:
    """Record batches of payments; return their events' ids in order."""
    merchant = merchant_with(database)
    written = []
    for _ in range(batches):
        payments = [submission(merchant) for _ in range(count)]
        put(database, *payments)
        written += [ids.write_id(ids.EVENT, payment.event_id) for payment in payments]
    return written


def logged(folder: Path) -> list[str]:
    """Return the ids of the events in a log, in its order."""
    return [record["id"] for _, lines in in_order(folder) for record in lines[1:]]


def test_every_event_is_logged_in_order_and_leaves_the_outbox(
    database: Database, tmp_path: Path
) -> None:
    written = pay(database, batches=12)
    drain(database, FolderStore(tmp_path))
    assert written == logged(tmp_path)
    assert [(0,)] == database.rows("SELECT count(*) FROM outbox")


def test_an_object_is_named_by_region_and_hour_and_says_what_it_holds(
    database: Database, tmp_path: Path
) -> None:
    pay(database)
    drain(database, FolderStore(tmp_path))
    [(key, [manifest, *records])] = objects(tmp_path)
    assert re.fullmatch(
        rf"{REGION}/\d{{4}}/\d\d/\d\d/\d\d/{manifest['chain']}-0{{8}}\.ndjson\.gz", key
    )
    assert (REGION, 0, 3) == (manifest["region"], manifest["sequence"], manifest["records"])
    assert manifest["first"] == records[1]["prev"]
    assert "captured" == records[0]["data"]["status"]


def test_the_next_holder_begins_a_chain_that_follows_the_last(
    database: Database, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    for _ in range(3):
        pay(database)
        drain(database, store)
    report = verify(store)
    assert (3, 3, 9, 0) == (report.chains, report.objects, report.records, report.repeated)
    assert ([], []) == (report.breaks, report.tails)


class FailingStore(FolderStore):
    """A folder that fails before it has written, then after, and then does it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls = 0

    def put(self, key: str, body: bytes) -> None:
        self.calls += 1
        if self.calls % 3 == 1:
            raise StoreUnavailable
        super().put(key, body)
        if self.calls % 3 == 2:
            raise StoreUnavailable


def test_an_object_whose_answer_was_lost_is_written_again_as_it_was(
    database: Database, tmp_path: Path
) -> None:
    store = FailingStore(tmp_path)
    written = pay(database, batches=2)
    drain(database, store)
    assert 3 == store.calls
    assert written == logged(tmp_path)
    assert verify(store).whole


def test_a_term_that_dies_between_the_object_and_the_acknowledgement_repeats_and_breaks_nothing(
    database: Database, tmp_path: Path
) -> None:
    written = pay(database)
    drain(database, FolderStore(tmp_path))
    unacknowledged = pay(database)
    acknowledge = "ALTER FUNCTION evertill.settle_outbox RENAME TO settle_outbox_later"
    database.rows(acknowledge)
    before = len(objects(tmp_path))
    relay_until(database, FolderStore(tmp_path), lambda: len(objects(tmp_path)) > before)
    database.rows("ALTER FUNCTION evertill.settle_outbox_later RENAME TO settle_outbox")
    drain(database, FolderStore(tmp_path))
    report = verify(FolderStore(tmp_path))
    assert report.whole
    assert sum(tail.objects for tail in report.tails) >= 1
    assert report.repeated >= len(unacknowledged)
    assert written + unacknowledged == list(dict.fromkeys(logged(tmp_path)))


def test_one_holds_the_outbox_and_the_others_wait_for_its_connection_to_end(
    database: Database,
) -> None:
    pay(database)

    async def run() -> None:
        connect = connector(database)
        first: PostgresOutbox = await connect()
        second: PostgresOutbox = await connect()
        assert await first.begin() is not None
        held = await first.claim(100)
        assert held is not None
        assert 1 == len(held.batch_ids)
        assert None is await second.begin()
        assert None is await second.claim(100)
        await first.close()
        await begun(second)
        claim = await second.claim(100)
        assert claim is not None
        assert held.batch_ids == claim.batch_ids
        await second.close()

    asyncio.run(run())


def test_who_waited_long_begins_under_an_id_of_that_moment(database: Database) -> None:
    async def run() -> None:
        connect = connector(database)
        waiting: PostgresOutbox = await connect()
        first: PostgresOutbox = await connect()
        assert await first.begin() is not None
        assert None is await waiting.begin()
        await first.close()
        second: PostgresOutbox = await connect()
        before = await begun(second)
        await second.close()
        after = await begun(waiting)
        assert before.term_id < after.term_id
        await waiting.close()

    asyncio.run(run())


def test_a_frozen_holder_loses_its_term_and_cannot_acknowledge(database: Database) -> None:
    pay(database)

    async def run() -> None:
        connect = connector(database)
        frozen: PostgresOutbox = await connect()
        term = await frozen.begin()
        held = await frozen.claim(100)
        assert term is not None
        assert held is not None
        # The frozen one is still connected, so that its session lock is held.
        database.rows("UPDATE relay_terms SET lease_until = '-infinity'")
        successor: PostgresOutbox = await connect()
        assert await successor.begin() is not None
        head = Head(REGION, term.term_id.hex(), 0, "0" * 64)
        assert not await frozen.settle(held.batch_ids, head)
        assert None is await frozen.claim(100)
        await frozen.close()
        await successor.close()

    asyncio.run(run())
    assert [(1,)] == database.rows("SELECT count(*) FROM outbox")


def test_a_term_that_was_lost_does_not_go_on_when_its_successor_dies(database: Database) -> None:
    pay(database)

    async def run() -> None:
        connect = connector(database)
        frozen: PostgresOutbox = await connect()
        assert await frozen.begin() is not None
        database.rows("UPDATE relay_terms SET lease_until = '-infinity'")
        successor: PostgresOutbox = await connect()
        assert await successor.begin() is not None
        await successor.close()
        # Its chain has been followed by another: what it wrote now would stand before that.
        assert None is await frozen.claim(100)
        await begun(frozen)
        assert await frozen.claim(100) is not None
        await frozen.close()

    asyncio.run(run())


async def begun(outbox: PostgresOutbox) -> Term:
    """Begin a term as soon as the one before has ended."""
    async with asyncio.timeout(5):
        while (term := await outbox.begin()) is None:  # noqa: ASYNC110 - none tells us
            await asyncio.sleep(0.01)
    return term


def test_a_database_that_takes_no_writes_has_no_relay(database: Database) -> None:
    async def run() -> None:
        outbox = await connector(database)()
        try:
            with pytest.raises(OutboxUnavailable):
                await outbox.begin()
        finally:
            await outbox.close()

    url = psycopg.conninfo.make_conninfo(database.service_url)
    login = psycopg.conninfo.conninfo_to_dict(url)["user"]
    database.rows(
        f"ALTER ROLE {login} IN DATABASE {database.name} SET default_transaction_read_only = on"
    )
    asyncio.run(run())

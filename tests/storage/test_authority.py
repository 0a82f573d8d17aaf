"""The database commits only in its own epoch, and not after the lease that a task wrote under."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from tests.faults.world import own_cluster
from tests.storage.parts import Pool, balance, merchant_with, submission, with_pool
from tests.storage.test_committer import WAIT_TIMEOUT_S, outcomes
from tests.support.postgres import Database

from evertill.domain.rules import Merchant
from evertill.service.jobs import settle
from evertill.storage.committer import Committer
from evertill.storage.moves import expire_authorizations
from evertill.storage.permits import Permit

RAISE = "SELECT evertill.raise_epoch(%s, 'us-east-2')"
CHECK = "SELECT evertill.check_authority(%s, clock_timestamp() + interval '1 minute')"
FUTURE_S = 60.0


@dataclass
class Leave:
    """Leave to write that a test hands out and takes away."""

    epoch: int = 0
    left_s: float = FUTURE_S

    def remaining_s(self) -> float:
        return self.left_s


def take(database: Database, permit: Permit, merchant: Merchant, payments: int = 1) -> list[str]:
    """Submit payments under a permit and return what became of each."""

    async def scenario() -> list[str]:
        committer = Committer(database.service_url, lambda: permit)
        task = asyncio.create_task(committer.run())
        taken = [submission(merchant) for _ in range(payments)]
        results = await outcomes(committer, *taken)
        committer.stop()
        await asyncio.wait_for(task, WAIT_TIMEOUT_S)
        return results

    return asyncio.run(scenario())


def raise_epoch(database: Database, epoch: int) -> bool:
    with closing(psycopg.connect(database.admin_url, autocommit=True)) as connection:
        row = connection.execute(RAISE, [epoch]).fetchone()
    assert row is not None
    return bool(row[0])


def test_a_payment_of_another_epoch_is_refused_and_moves_nothing(database: Database) -> None:
    merchant = merchant_with(database)
    assert raise_epoch(database, 3)
    assert ["NotTheWriter"] * 2 == take(database, Leave(epoch=2), merchant, 2)
    assert ["NotTheWriter"] == take(database, Leave(epoch=4), merchant)
    assert {} == balance(database, merchant)
    assert ["taken"] == take(database, Leave(epoch=3), merchant)


def test_a_payment_after_the_end_of_the_lease_is_refused(database: Database) -> None:
    merchant = merchant_with(database)
    assert ["NotTheWriter"] == take(database, Leave(left_s=-0.001), merchant)
    assert {} == balance(database, merchant)


def test_jobs_that_move_money_are_refused_as_payments_are(database: Database) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=0)
    ours = Leave()

    async def authorize_and_expire(pool: Pool) -> None:
        committer = Committer(database.service_url, lambda: ours)
        task = asyncio.create_task(committer.run())
        assert ["taken"] == await outcomes(committer, submission(merchant, capture=False))
        committer.stop()
        await task
        over = Leave(epoch=9)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await expire_authorizations(pool, lambda: over)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await settle(pool, lambda: over, timedelta(0))
        assert 1 == await expire_authorizations(pool, lambda: ours)

    with_pool(database, authorize_and_expire)


def test_an_epoch_only_grows(database: Database) -> None:
    assert raise_epoch(database, 5)
    assert not raise_epoch(database, 4)
    assert raise_epoch(database, 5)
    assert [(5,)] == database.rows("SELECT epoch FROM authority")


def test_the_service_cannot_write_its_epoch_by_hand(database: Database) -> None:
    with (
        closing(psycopg.connect(database.service_url)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE evertill.authority SET epoch = 0")


def test_a_fence_waits_for_the_commits_that_passed_their_check(database: Database) -> None:
    with closing(psycopg.connect(database.admin_url)) as writer:
        writer.execute(CHECK, [0])
        fence = threading.Thread(target=raise_epoch, args=(database, 1))
        fence.start()
        fence.join(0.3)
        assert fence.is_alive()
        writer.commit()
        fence.join(WAIT_TIMEOUT_S)
        assert not fence.is_alive()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            writer.execute(CHECK, [0])


def test_a_fence_is_not_starved_by_writers_that_keep_coming(database: Database) -> None:
    """Four sessions always hold the check between them; a fence must get its turn all the same."""
    with writers(database, sessions=4):
        from_s = time.monotonic()
        assert raise_epoch(database, 1)
        assert time.monotonic() - from_s < WAIT_TIMEOUT_S / 2


@contextmanager
def writers(database: Database, sessions: int) -> Iterator[None]:
    """Keep transactions that passed their check open, one beginning before another ends."""
    stop = threading.Event()
    passed = threading.Barrier(sessions + 1)

    def write(turn: int) -> None:
        with closing(psycopg.connect(database.admin_url)) as connection:
            connection.execute(CHECK, [0])
            passed.wait(WAIT_TIMEOUT_S)
            while not stop.wait(0.02 + 0.005 * turn):
                connection.commit()
                try:
                    connection.execute(CHECK, [0])
                except psycopg.errors.ReadOnlySqlTransaction:
                    return

    threads = [threading.Thread(target=write, args=(turn,)) for turn in range(sessions)]
    for thread in threads:
        thread.start()
    passed.wait(WAIT_TIMEOUT_S)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(WAIT_TIMEOUT_S)


def test_a_commit_that_lands_after_the_lease_is_never_acknowledged() -> None:
    """The commit is held up, as the RPO guard holds it, until the lease is over."""
    with own_cluster() as (_, database):
        merchant, leave = merchant_with(database), Leave()

        async def scenario() -> list[str]:
            committer = Committer(database.service_url, lambda: leave)
            task = asyncio.create_task(committer.run())
            assert ["taken"] == await outcomes(committer, submission(merchant))
            hold(database, "nobody")
            late = asyncio.create_task(outcomes(committer, submission(merchant)))
            await asyncio.to_thread(wait_for_held, database)
            leave.left_s = -1.0
            hold(database, "")
            results = await late
            committer.stop()
            await task
            return results

        assert ["OutcomeUnknown"] == asyncio.run(scenario())
        assert 2000 == balance(database, merchant)["pending"]


def hold(database: Database, standby: str) -> None:
    """Let commits wait for a standby of that name, which does not exist; for nobody with ""."""
    with closing(psycopg.connect(database.admin_url, autocommit=True)) as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        connection.execute("SELECT pg_reload_conf()")


def wait_for_held(database: Database) -> None:
    with closing(psycopg.connect(database.admin_url, autocommit=True)) as connection:
        deadline_s = time.monotonic() + WAIT_TIMEOUT_S
        held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while connection.execute(held).fetchone() == (0,):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

"""The group commit beside a database that refuses, stalls and goes away; no HTTP around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from tests.faults.world import own_cluster
from tests.storage.parts import balance, merchant_with, submission, unshared
from tests.support.postgres import Database

from evertill.domain.errors import (
    EvertillError,
    InternalError,
    KeyInFlight,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from evertill.storage import committer as committers
from evertill.storage.answers import lock_number
from evertill.storage.committer import Committer
from evertill.storage.submissions import Answer, Submission, Waiter

WAIT_TIMEOUT_S = 20.0
PLENTY_S = 15.0


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Committer]:
    """Run a committer on a database; afterwards it ends by itself."""
    committer = Committer(database.service_url, unshared)
    task = asyncio.create_task(committer.run())
    try:
        yield committer
        committer.stop()
        await asyncio.wait_for(task, WAIT_TIMEOUT_S)
    finally:
        task.cancel()


async def outcomes(
    committer: Committer, *payments: Submission, within_s: float = PLENTY_S
) -> list[str]:
    """Submit payments together and return what became of each: "taken" or an error's name."""
    done = asyncio.Event()
    waiter = Waiter(len(payments), done.set)
    deadline_s = asyncio.get_running_loop().time() + within_s
    for payment in payments:
        payment.deadline_s, payment.waiter = deadline_s, waiter
        committer.submit(payment)
    async with asyncio.timeout(WAIT_TIMEOUT_S):
        await done.wait()
    return [told(payment.outcome) for payment in payments]


def told(outcome: Answer | EvertillError | None) -> str:
    """Name an outcome."""
    return "taken" if isinstance(outcome, Answer) else type(outcome).__name__


def stored(database: Database, *payments: Submission) -> list[bool]:
    """Tell of each payment whether the database has it."""
    rows = database.rows("SELECT payment_id FROM payments")
    found = {payment_id.bytes for (payment_id,) in rows}
    return [payment.payment_id in found for payment in payments]


@contextmanager
def held(database: Database, lock: int) -> Iterator[psycopg.Connection]:
    """Hold an advisory lock as another process of the service would."""
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
        yield connection


def test_a_payment_that_the_database_refuses_fails_alone(database: Database) -> None:
    merchant, poisoned = merchant_with(database), merchant_with(database, fee_basis_points=-500)
    payments = [submission(merchant, 100 + number) for number in range(30)]
    payments.insert(17, submission(poisoned, 1000))

    async def scenario() -> list[str]:
        async with running(database) as committer:
            return await outcomes(committer, *payments)

    expected = ["taken"] * 30
    expected.insert(17, InternalError.__name__)
    assert expected == asyncio.run(scenario())
    assert [what == "taken" for what in expected] == stored(database, *payments)


def test_a_merchant_with_impossible_terms_does_not_stop_the_others(database: Database) -> None:
    odd = merchant_with(database, authorization_lifetime_s=10**15)
    poisoned = submission(odd, capture=False)
    good = [submission(merchant_with(database)) for _ in range(2)]

    async def scenario() -> tuple[list[str], list[str]]:
        async with running(database) as committer:
            together = await outcomes(committer, good[0], poisoned)
            return together, await outcomes(committer, good[1])

    together, after = asyncio.run(scenario())
    assert ["taken", InternalError.__name__] == together
    assert ["taken"] == after
    assert [True, True, False] == stored(database, *good, poisoned)


def test_what_was_called_undone_at_its_deadline_is_not_done_afterwards(
    database: Database,
) -> None:
    payment = submission(merchant_with(database))

    async def scenario() -> list[str]:
        async with running(database) as committer:
            with held(database, payment.source_key):
                return await outcomes(committer, payment, within_s=0.4)

    assert [Unavailable.__name__] == asyncio.run(scenario())
    assert [False] == stored(database, payment)


def test_a_commit_in_doubt_stays_in_doubt_when_trying_again_fails(database: Database) -> None:
    """A try that could not even claim says nothing about the commit that was lost before it."""
    payment = submission(merchant_with(database))
    payment.maybe_committed = True

    async def scenario() -> list[str]:
        async with running(database) as committer:
            with held(database, payment.source_key):
                return await outcomes(committer, payment, within_s=3.0)

    assert [OutcomeUnknown.__name__] == asyncio.run(scenario())


def test_a_lost_connection_is_retried_within_the_deadline(database: Database) -> None:
    merchant = merchant_with(database)
    first, second = submission(merchant, 100), submission(merchant, 200)

    async def scenario() -> list[str]:
        async with running(database) as committer:
            results = await outcomes(committer, first)
            database.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'evertill'"
            )
            return results + await outcomes(committer, second)

    assert ["taken", "taken"] == asyncio.run(scenario())
    assert {"receivable": -300, "pending": 300} == balance(database, merchant)


def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(database: Database) -> None:
    merchant = merchant_with(database)
    payment = submission(merchant)

    async def scenario() -> list[str]:
        async with running(database) as committer:
            await outcomes(committer, payment)
            committed, payment.outcome = payment.outcome, None
            payment.maybe_committed = True
            results = await outcomes(committer, payment)
            assert committed == payment.outcome
            return results

    assert ["taken"] == asyncio.run(scenario())
    assert [(1,)] == database.rows("SELECT count(*) FROM payments")


def test_a_key_held_by_another_process_is_in_flight_and_its_neighbours_are_taken(
    database: Database,
) -> None:
    merchant = merchant_with(database)
    payments = [submission(merchant, 100 + number) for number in range(5)]

    async def scenario() -> list[str]:
        async with running(database) as committer:
            with held(database, lock_number(payments[2].key_digest)):
                return await outcomes(committer, *payments, within_s=1.0)

    expected = ["taken", "taken", KeyInFlight.__name__, "taken", "taken"]
    assert expected == asyncio.run(scenario())


def test_a_source_that_is_held_up_does_not_hold_up_others_for_good(database: Database) -> None:
    merchant = merchant_with(database)
    stuck, free = submission(merchant), submission(merchant)

    async def scenario() -> list[str]:
        async with running(database) as committer:
            with held(database, stuck.source_key):
                return await outcomes(committer, stuck, free, within_s=4.5)

    assert [Unavailable.__name__, "taken"] == asyncio.run(scenario())


def test_a_batch_that_needs_more_locks_than_the_server_has_is_taken_in_parts() -> None:
    with own_cluster(max_locks_per_transaction="10", max_connections="12") as (_, database):
        merchant = merchant_with(database)
        payments = [submission(merchant, 100) for _ in range(1000)]

        async def scenario() -> list[str]:
            async with running(database) as committer:
                return await outcomes(committer, *payments)

        assert ["taken"] * len(payments) == asyncio.run(scenario())
        assert {"receivable": -100_000, "pending": 100_000} == balance(database, merchant)


def test_the_queue_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committers, "QUEUE_SIZE_MAX", 10)

    async def scenario() -> None:
        committer = Committer(database.service_url, unshared)
        committer.check_room(10)
        for _ in range(4):
            committer.submit(submission(merchant))
        committer.check_room(6)
        with pytest.raises(Overloaded):
            committer.check_room(7)

    merchant = merchant_with(database)
    asyncio.run(scenario())


def test_what_is_queued_when_it_stops_is_still_committed(database: Database) -> None:
    merchant = merchant_with(database)
    payments = [submission(merchant, 100) for _ in range(2500)]

    async def scenario() -> list[str]:
        committer = Committer(database.service_url, unshared)
        for payment in payments:
            payment.deadline_s = asyncio.get_running_loop().time() + PLENTY_S
            committer.submit(payment)
        committer.stop()
        await asyncio.wait_for(committer.run(), WAIT_TIMEOUT_S)
        return [told(payment.outcome) for payment in payments]

    assert ["taken"] * len(payments) == asyncio.run(scenario())

"""What happens by itself: authorizations expire, captures are settled; moves meet both.

A payment's time is the database's, so short lifetimes and old captures stand for long waits.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.storage.parts import (
    Pool,
    balance,
    merchant_with,
    put,
    submission,
    unshared,
    with_pool,
)
from tests.support.postgres import Database

from evertill.domain import ids, moves
from evertill.domain.errors import (
    EvertillError,
    IllegalTransition,
    InsufficientFunds,
    KeyInFlight,
    NotFound,
)
from evertill.domain.idempotency import body_digest, scope_digest
from evertill.domain.payments import StoredPayment
from evertill.domain.rules import Merchant
from evertill.service.jobs import settle
from evertill.storage.moves import MoveRequest, expire_authorizations, move_payment
from evertill.storage.submissions import Answer, Submission

DAY = timedelta(days=1)
LIFETIME_S = 60
PROCESSES = 4


def long_ago(days: float = 3) -> datetime:
    """Return a time before today."""
    return datetime.now(UTC) - days * DAY


def authorization(merchant: Merchant, amount_minor: int = 1000) -> Submission:
    """Make a payment that is authorized and not captured."""
    return submission(merchant, amount_minor, capture=False)


def expire(database: Database) -> int:
    """Run the expiry once, as one of the service's workers does."""
    return with_pool(database, lambda pool: expire_authorizations(pool, unshared))


def settle_after(database: Database, delay: timedelta) -> int:
    """Run the settlement once."""
    return with_pool(database, lambda pool: settle(pool, unshared, delay))


def move(database: Database, taken: Submission, what: str, **terms: Any) -> Answer:
    """Capture, cancel or refund a payment under a new key."""
    merchant = taken.merchant
    amount = terms.pop("amount", None)

    def decide(payment: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
        if what == "capture":
            return moves.capture(payment, amount, merchant, at)
        if what == "cancel":
            return moves.cancel(payment, at)
        return moves.refund(payment, amount, settled=settled)

    request = MoveRequest(
        merchant_id=merchant.merchant_id,
        payment_id=taken.payment_id,
        key_digest=scope_digest(merchant.merchant_id, what, "", ids.new_id().hex()),
        body_digest=body_digest(b"{}"),
        event_id=ids.new_id(),
        refund_id=ids.new_id(),
        decide=decide,
    )
    return with_pool(database, lambda pool: move_payment(pool, request, unshared))


def status(database: Database, payment: Submission) -> str:
    """Return how a payment stands."""
    rows = database.rows(
        "SELECT status FROM payments WHERE payment_id = %s", [payment.payment_id.hex()]
    )
    return str(rows[0][0])


def events_of(database: Database, payment: Submission) -> list[str]:
    """Return the events of a payment in their order."""
    rows = database.rows(
        "SELECT type FROM events WHERE payment_id = %s ORDER BY transaction_id",
        [payment.payment_id.hex()],
    )
    return [kind for (kind,) in rows]


def refusal_of(act: Any, *arguments: Any, **terms: Any) -> type[EvertillError] | None:
    """Return the kind of error that `act` raises, None when it does not."""
    try:
        act(*arguments, **terms)
    except EvertillError as error:
        return type(error)
    return None


def test_an_expired_authorization_releases_its_hold_and_tells_it_once(database: Database) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=LIFETIME_S)
    payment = authorization(merchant, 1000)
    put(database, payment, at=long_ago())
    assert {"receivable": -1000, "holds": 1000} == balance(database, merchant)
    assert [1, 0] == [expire(database), expire(database)]
    assert "expired" == status(database, payment)
    assert ["payment.authorized", "payment.expired"] == events_of(database, payment)
    assert {} == balance(database, merchant)


def test_what_is_not_over_does_not_expire(database: Database) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=LIFETIME_S)
    young, captured = authorization(merchant), submission(merchant)
    put(database, young)
    put(database, captured, at=long_ago())
    assert 0 == expire(database)
    assert ["authorized", "captured"] == [status(database, p) for p in (young, captured)]


def test_a_payment_expires_once_however_many_processes_look(database: Database) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=LIFETIME_S)
    payments = [authorization(merchant, 10 + number) for number in range(1200)]
    put(database, *payments[:600], at=long_ago())
    put(database, *payments[600:], at=long_ago())
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        counts = list(processes.map(_expire_all, [database] * PROCESSES))
    assert len(payments) == sum(counts)
    told = database.rows(
        "SELECT count(*), count(DISTINCT payment_id) FROM events WHERE type = 'payment.expired'"
    )
    assert [(len(payments), len(payments))] == told
    assert {} == balance(database, merchant)


def _expire_all(database: Database) -> int:
    """Expire until nothing is left, in a process of its own."""

    async def run(pool: Pool) -> int:
        total = 0
        while found := await expire_authorizations(pool, unshared):
            total += found
        return total

    return with_pool(database, run)


@pytest.mark.parametrize("what", ["capture", "cancel"])
def test_after_its_time_an_authorization_is_over_even_before_the_job_comes(
    database: Database, what: str
) -> None:
    payment = authorization(merchant_with(database, authorization_lifetime_s=LIFETIME_S))
    put(database, payment, at=long_ago())
    with pytest.raises(IllegalTransition) as refusal:
        move(database, payment, what)
    assert "expired" == refusal.value.fields["current_status"]
    assert ["payment.authorized"] == events_of(database, payment)


def test_before_its_time_an_authorization_is_captured_and_then_never_expires(
    database: Database,
) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=LIFETIME_S)
    payment = authorization(merchant, 1000)
    put(database, payment, at=datetime.now(UTC) - timedelta(seconds=LIFETIME_S - 30))
    move(database, payment, "capture", amount=600)
    database.rows("UPDATE payments SET expires_at = now() - interval '1 day'")
    assert 0 == expire(database)
    assert {"receivable": -600, "pending": 600} == balance(database, merchant)


def test_of_a_capture_and_an_expiry_at_once_exactly_one_wins(database: Database) -> None:
    merchant = merchant_with(database, authorization_lifetime_s=1)
    payments = [authorization(merchant, 1000) for _ in range(40)]
    put(database, *payments)

    async def race(pool: Pool) -> list[object]:
        async def expire_until_over() -> None:
            for _ in range(400):
                await expire_authorizations(pool, unshared)

        captures = [_capture(pool, payment, wait_s) for wait_s, payment in _spread(payments)]
        job = asyncio.create_task(expire_until_over())
        results = await asyncio.gather(*captures, return_exceptions=True)
        await job
        return list(results)

    results = with_pool(database, race)
    captured = sum(isinstance(result, Answer) for result in results)
    refused = sum(isinstance(result, IllegalTransition) for result in results)
    while expire(database):
        pass
    assert len(payments) == captured + refused, results
    told = database.rows("SELECT type, count(*) FROM events GROUP BY type")
    assert captured == dict(told).get("payment.captured", 0)
    assert len(payments) - captured == dict(told).get("payment.expired", 0)
    worth = 1000 * captured
    expected = {"receivable": -worth, "pending": worth} if worth else {}
    assert expected == balance(database, merchant)


def _spread(payments: list[Submission]) -> list[tuple[float, Submission]]:
    """Spread captures over the moment at which the authorizations end."""
    return [(0.6 + number * 0.015, payment) for number, payment in enumerate(payments)]


async def _capture(pool: Pool, payment: Submission, wait_s: float) -> Answer:
    await asyncio.sleep(wait_s)
    request = MoveRequest(
        merchant_id=payment.merchant.merchant_id,
        payment_id=payment.payment_id,
        key_digest=scope_digest(payment.merchant.merchant_id, "capture", "", str(wait_s)),
        body_digest=body_digest(b"{}"),
        event_id=ids.new_id(),
        refund_id=ids.new_id(),
        decide=lambda stored, at, *, settled: moves.capture(  # noqa: ARG005 - a Decide
            stored, None, payment.merchant, at
        ),
    )
    return await move_payment(pool, request, unshared)


def test_settlement_moves_captures_to_available_net_of_fees_and_refunds(
    database: Database,
) -> None:
    merchant = merchant_with(database, fee_basis_points=290)
    refunded = submission(merchant, 2000)
    put(database, submission(merchant, 1000), refunded, at=long_ago())
    put(database, submission(merchant, 500), at=long_ago(1))
    move(database, refunded, "refund", amount=300)
    assert 1 == settle_after(database, 2 * DAY)
    # Fees are 29 and 58 on the old ones and 14 (14.5, half-even) on the one that is too young.
    assert {
        "receivable": -3500,
        "pending": 500 - 14,
        "available": 3000 - 29 - 58 - 300,
        "fees": 29 + 58 + 14,
        "refunds": 300,
    } == balance(database, merchant)


def test_settling_twice_moves_nothing_more(database: Database) -> None:
    merchant = merchant_with(database)
    put(database, submission(merchant, 1000), at=long_ago())
    assert 1 == settle_after(database, 2 * DAY)
    before = balance(database, merchant)
    assert 0 == settle_after(database, 2 * DAY)
    assert before == balance(database, merchant)
    assert [(1,)] == database.rows("SELECT count(*) FROM transfers WHERE kind = 5")


def test_settlements_at_once_settle_once(database: Database) -> None:
    merchants = [merchant_with(database) for _ in range(8)]
    put(database, *[submission(merchant, 1000) for merchant in merchants], at=long_ago())
    with ThreadPoolExecutor(PROCESSES) as threads:
        counts = list(threads.map(settle_after, [database] * PROCESSES, [2 * DAY] * PROCESSES))
    assert len(merchants) == sum(counts)
    assert [{"receivable": -1000, "available": 1000}] * len(merchants) == [
        balance(database, merchant) for merchant in merchants
    ]


def test_captures_of_the_last_hour_are_never_settled(database: Database) -> None:
    merchant = merchant_with(database)
    put(database, submission(merchant, 1000), at=long_ago(0.01))
    assert 0 == settle_after(database, timedelta(0))
    assert {"receivable": -1000, "pending": 1000} == balance(database, merchant)


def test_a_capture_of_a_partial_amount_settles_what_was_captured(database: Database) -> None:
    merchant = merchant_with(database)
    payment = authorization(merchant, 1000)
    put(database, payment, at=long_ago())
    move(database, payment, "capture", amount=600)
    assert 0 == settle_after(database, timedelta(0)), "it was captured just now"
    assert {"receivable": -600, "pending": 600} == balance(database, merchant)


def test_a_refund_after_the_settlement_takes_from_available(database: Database) -> None:
    merchant = merchant_with(database)
    payment = submission(merchant, 1000)
    put(database, payment, at=long_ago())
    settle_after(database, 2 * DAY)
    move(database, payment, "refund", amount=400)
    assert {"receivable": -1000, "available": 600, "refunds": 400} == balance(database, merchant)


def test_a_refund_beyond_what_is_available_is_refused_and_changes_nothing(
    database: Database,
) -> None:
    merchant = merchant_with(database, fee_basis_points=290)
    payment = submission(merchant, 1000)
    put(database, payment, at=long_ago())
    settle_after(database, 2 * DAY)
    before = balance(database, merchant)
    with pytest.raises(InsufficientFunds):
        move(database, payment, "refund", amount=1000)
    assert before == balance(database, merchant)
    assert "captured" == status(database, payment)
    assert ["payment.captured"] == events_of(database, payment)


def test_a_refund_of_a_young_capture_takes_from_pending(database: Database) -> None:
    merchant = merchant_with(database)
    payment = submission(merchant, 1000)
    put(database, payment)
    settle_after(database, 2 * DAY)
    move(database, payment, "refund", amount=400)
    assert {"receivable": -1000, "pending": 600, "refunds": 400} == balance(database, merchant)


def test_refunds_and_settlements_at_once_agree_on_where_the_money_is(database: Database) -> None:
    merchant = merchant_with(database)
    payments = [submission(merchant, 1000) for _ in range(24)]
    for number, payment in enumerate(payments):
        put(database, payment, at=long_ago(2 + number / 24))

    def refund_half(payment: Submission) -> type[EvertillError] | None:
        return refusal_of(move, database, payment, "refund", amount=500)

    async def race() -> list[type[EvertillError] | None]:
        refunds = [asyncio.to_thread(refund_half, payment) for payment in payments]
        settlements = [
            asyncio.to_thread(settle_after, database, (3 - number / 8) * DAY) for number in range(9)
        ]
        results, _ = await asyncio.gather(asyncio.gather(*refunds), asyncio.gather(*settlements))
        return results

    assert [None] * len(payments) == asyncio.run(race())
    settle_after(database, 2 * DAY)
    assert {"receivable": -24_000, "available": 12_000, "refunds": 12_000} == balance(
        database, merchant
    )


def test_a_move_of_another_merchants_payment_finds_nothing(database: Database) -> None:
    payment = authorization(merchant_with(database))
    put(database, payment)
    other = merchant_with(database)
    payment.merchant = other
    with pytest.raises(NotFound):
        move(database, payment, "capture")


def test_a_move_whose_key_is_at_work_elsewhere_is_told_so(database: Database) -> None:
    """Two captures under one key at once: one is carried out, the other is in flight."""
    payment = authorization(merchant_with(database))
    put(database, payment)

    async def twice(pool: Pool) -> list[object]:
        tries = [_capture(pool, payment, 0.0) for _ in range(2)]
        return list(await asyncio.gather(*tries, return_exceptions=True))

    kinds = {type(result) for result in with_pool(database, twice)}
    assert kinds <= {Answer, KeyInFlight}
    assert ["payment.authorized", "payment.captured"] == events_of(database, payment)

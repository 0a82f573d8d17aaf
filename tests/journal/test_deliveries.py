"""Deliveries are shared out among the endpoints: the few that fail do not take all there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from tests.storage.parts import Pool, merchant_with, put, submission, with_pool
from tests.support.postgres import Database

from evertill.domain import ids
from evertill.domain.outbox import Receiver
from evertill.domain.rules import Merchant, MerchantTerms
from evertill.domain.webhooks import Result, new_secret
from evertill.storage import webhooks
from evertill.storage.webhooks import PostgresDeliveries

EVENTS = 20
EACH, PLENTY = 8, 256
FAN_OUT = "SELECT fan_out_webhooks(3::smallint, %s)"
DUE_NOW = "UPDATE webhook_deliveries SET due_at = now()"
UNPAUSED = "UPDATE webhook_endpoints SET paused_until = '-infinity'"


def endpoints(database: Database, count: int) -> list[bytes]:
    """Give a merchant endpoints and each of them events to be told; return their ids."""
    merchant = merchant_with(database)
    made = [
        webhooks.Endpoint(ids.new_id(), "https://merchant.example/", None, None, datetime.now(UTC))
        for _ in range(count)
    ]

    async def create(pool: Pool) -> None:
        for endpoint in made:
            await webhooks.create_endpoint(pool, merchant.merchant_id, endpoint, new_secret())

    with_pool(database, create)
    put(database, *[submission(merchant) for _ in range(EVENTS)])
    on_deliveries(database, lambda deliveries: deliveries.fan_out())
    return [endpoint.endpoint_id for endpoint in made]


def on_deliveries(
    database: Database, act: Callable[[PostgresDeliveries], Awaitable[object]]
) -> None:
    """Act as a worker that sends."""

    async def run() -> None:
        served = frozenset({Receiver.LOG, Receiver.WEBHOOKS})
        deliveries = await PostgresDeliveries.connect(database.service_url, served)
        try:
            await act(deliveries)
        finally:
            await deliveries.close()

    asyncio.run(run())


def test_an_endpoint_that_keeps_failing_is_asked_by_one_delivery_until_it_answers(
    database: Database,
) -> None:
    endpoints(database, 1)

    async def act(deliveries: PostgresDeliveries) -> None:
        claimed = await deliveries.claim([], EACH, PLENTY)
        assert EACH == len(claimed)
        for delivery in claimed:
            await deliveries.finish(delivery, Result("it answered 500", timedelta()))
        assert [] == await deliveries.claim([], EACH, PLENTY)
        database.rows(UNPAUSED)
        [probe] = await deliveries.claim([], EACH, PLENTY)
        await deliveries.finish(probe, Result())
        assert EACH == len(await deliveries.claim([], EACH, PLENTY))

    on_deliveries(database, act)


def test_with_little_room_no_endpoint_is_always_the_last(database: Database) -> None:
    made = endpoints(database, 2)
    told: set[bytes] = set()

    async def act(deliveries: PostgresDeliveries) -> None:
        for _ in range(EVENTS):
            [delivery] = await deliveries.claim([], EACH, 1)
            told.add(delivery.endpoint_id)
            await deliveries.finish(delivery, Result())

    on_deliveries(database, act)
    assert set(made) == told


def test_events_are_fanned_out_a_bounded_number_at_a_time(database: Database) -> None:
    endpoints(database, 1)
    [(merchant_id,)] = database.rows("SELECT merchant_id FROM webhook_endpoints")
    merchant = Merchant(merchant_id, active=True, terms=MerchantTerms())
    for _ in range(3):
        put(database, *[submission(merchant) for _ in range(EVENTS)])
    counts = []
    for more in (True, False, False):
        assert [(more,)] == database.rows(FAN_OUT, [EVENTS + 1])
        counts += database.rows("SELECT count(*) FROM webhook_deliveries")
    assert [(3 * EVENTS,), (4 * EVENTS,), (4 * EVENTS,)] == counts


def test_what_waits_and_what_is_dead_is_measured(database: Database) -> None:
    endpoints(database, 1)

    async def act(deliveries: PostgresDeliveries) -> None:
        [first] = await deliveries.claim([], EACH, 1)
        await deliveries.finish(first, Result("it answered 500"))

    on_deliveries(database, act)
    database.rows(f"{DUE_NOW} - interval '1 minute' WHERE due_at IS NOT NULL")
    found = with_pool(database, webhooks.measure)
    assert (EVENTS - 1, 1) == (found.waiting, found.dead)
    assert 60 <= found.overdue_s < 120

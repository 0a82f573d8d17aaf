"""Webhooks in the database: endpoints as merchants manage them, deliveries as workers send them.

It is separate from outbox.py because deliveries have no terms: any number of workers send at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg_pool import AsyncConnectionPool

from evertill.domain.outbox import OutboxUnavailable, Receiver
from evertill.domain.webhooks import Delivery, Result
from evertill.storage.database import Address
from evertill.storage.outbox import connect
from evertill.storage.packing import pack_uuid, register
from evertill.storage.statements import STATEMENTS

# Of these, each may become a delivery to ENDPOINTS_MAX endpoints within one statement's time.
FAN_OUT_EVENTS_MAX: Final = 2_000
# Longer than an attempt may take.
LEASE: Final = timedelta(seconds=60)
ENDPOINTS_MAX: Final = 16
SECRET_OVERLAP: Final = timedelta(hours=24)
DEAD_LETTERS_MAX: Final = 100
# Counting millions every few seconds would cost more than knowing how many millions is worth.
MEASURED_MAX: Final = 10_000


class Endpoint(NamedTuple):
    """Where a merchant wants to be told."""

    endpoint_id: bytes
    url: str
    types: list[str] | None
    disabled_reason: str | None
    created_at: datetime


class DeadLetter(NamedTuple):
    """An event that an endpoint was not told of."""

    event_id: bytes
    type: str
    payment_id: bytes
    attempts: int
    attempted_at: datetime | None
    error: str | None


class Backlog(NamedTuple):
    """What webhooks wait for: deliveries and dead letters, up to MEASURED_MAX, and the delay."""

    waiting: int
    dead: int
    overdue_s: float


class PostgresDeliveries:
    """The deliveries on one connection; see evertill.domain.webhooks.Deliveries."""

    def __init__(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], served: frozenset[Receiver]
    ) -> None:
        """Use `connection` alone; `served` are all receivers that are served here."""
        self._connection = connection
        self._served = sum(served)
        register(connection)

    @classmethod
    async def connect(cls, address: Address, served: frozenset[Receiver]) -> Self:
        """Connect; raise OutboxUnavailable."""
        return cls(await connect(address), served)

    async def fan_out(self) -> bool:
        """Make deliveries of what is in the outbox; tell whether there may be more of it."""
        rows = await self._call("fan_out_webhooks", served=self._served, most=FAN_OUT_EVENTS_MAX)
        return bool(rows[0][0])

    async def claim(self, busy: Sequence[bytes], each: int, most: int) -> list[Delivery]:
        """Take deliveries that are due, up to `each` of an endpoint that is not busy."""
        rows = await self._call(
            "claim_deliveries", busy=pack_uuid(busy), each=each, most=most, lease=LEASE
        )
        return [Delivery(r[0].bytes, r[1].bytes, *r[2:]) for r in rows]

    async def finish(self, delivery: Delivery, result: Result) -> None:
        """Note how an attempt went."""
        await self._call(
            "finish_delivery",
            endpoint_id=delivery.endpoint_id.hex(),
            event_id=delivery.event_id.hex(),
            **result._asdict(),
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _call(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        try:
            cursor = await self._connection.execute(STATEMENTS[statement], parameters, binary=True)
            return await cursor.fetchall()
        except psycopg.Error as failure:
            raise OutboxUnavailable from failure


async def measure(pool: AsyncConnectionPool) -> Backlog:
    """Return how far the webhooks are behind."""
    return Backlog(*(await _fetch(pool, "measure_webhooks", most=MEASURED_MAX))[0])


async def list_endpoints(
    pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes | None = None
) -> list[Endpoint]:
    """Return a merchant's endpoints, or the one that is named."""
    named = endpoint_id and endpoint_id.hex()
    rows = await _fetch(pool, "list_webhooks", merchant_id=merchant_id, endpoint_id=named)
    return [Endpoint(r[0].bytes, *r[1:]) for r in rows]


async def create_endpoint(
    pool: AsyncConnectionPool, merchant_id: int, endpoint: Endpoint, secret: str
) -> bool:
    """Create an endpoint; False when the merchant has ENDPOINTS_MAX already."""
    return await _change(
        pool,
        "create_webhook",
        merchant_id=merchant_id,
        endpoint_id=endpoint.endpoint_id.hex(),
        url=endpoint.url,
        types=endpoint.types,
        secret=secret,
        most=ENDPOINTS_MAX,
    )


async def remove_endpoint(pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes) -> bool:
    """Forget an endpoint; False when it is not there."""
    return await _change(
        pool, "remove_webhook", merchant_id=merchant_id, endpoint_id=endpoint_id.hex()
    )


async def rotate_secret(
    pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes, secret: str
) -> bool:
    """Give an endpoint a new secret beside the old one; False when it is not there."""
    return await _change(
        pool,
        "rotate_webhook",
        merchant_id=merchant_id,
        endpoint_id=endpoint_id.hex(),
        secret=secret,
        overlap=SECRET_OVERLAP,
    )


async def enable_endpoint(pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes) -> bool:
    """Tell an endpoint again; False when it is not there."""
    return await _change(
        pool, "enable_webhook", merchant_id=merchant_id, endpoint_id=endpoint_id.hex()
    )


async def redeliver(
    pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes, event_id: bytes
) -> bool:
    """Deliver an event once more; False when endpoint or event is not there."""
    return await _change(
        pool,
        "redeliver_event",
        merchant_id=merchant_id,
        endpoint_id=endpoint_id.hex(),
        event_id=event_id.hex(),
    )


async def list_dead_letters(
    pool: AsyncConnectionPool, merchant_id: int, endpoint_id: bytes
) -> list[DeadLetter]:
    """Return what an endpoint was not told, oldest first, up to DEAD_LETTERS_MAX."""
    rows = await _fetch(
        pool,
        "list_dead_letters",
        merchant_id=merchant_id,
        endpoint_id=endpoint_id.hex(),
        most=DEAD_LETTERS_MAX,
    )
    return [DeadLetter(r[0].bytes, r[1], r[2].bytes, *r[3:]) for r in rows]


async def _change(pool: AsyncConnectionPool, statement: str, **parameters: object) -> bool:
    return bool((await _fetch(pool, statement, **parameters))[0][0])


async def _fetch(
    pool: AsyncConnectionPool, statement: str, **parameters: object
) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(STATEMENTS[statement], parameters, binary=True)
        return await cursor.fetchall()

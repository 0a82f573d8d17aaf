"""Payments put into a database without a service around it, at times of the test's choice."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar

from psycopg_pool import AsyncConnectionPool
from tests.support.postgres import Database
from tests.support.service import create_merchant, new_source

from evertill.authority.keeping import Alone
from evertill.domain import ids
from evertill.domain.idempotency import body_digest, scope_digest
from evertill.domain.rules import Attempt, Merchant, MerchantTerms, source_key
from evertill.storage import batch as batches
from evertill.storage.database import pool, service_conninfo
from evertill.storage.pipeline import Pipeline
from evertill.storage.submissions import Submission

BALANCES = """
    SELECT currency, acquirer_receivable, authorization_holds, merchant_pending,
        merchant_available, fees, refunds_payable
    FROM current_balances WHERE merchant_id = %s ORDER BY currency
"""

Pool = AsyncConnectionPool[Any]
unshared = Alone().permit
T = TypeVar("T")


def merchant_with(database: Database, **terms: Any) -> Merchant:
    """Create a merchant on these terms, without any fee unless they say so."""
    agreed = MerchantTerms(**({"fee_basis_points": 0} | terms))
    created = create_merchant(database, agreed)
    return Merchant(created.merchant_id, active=True, terms=agreed)


def submission(merchant: Merchant, amount_minor: int = 1000, **fields: Any) -> Submission:
    """Make a payment that nobody has taken yet; `fields` say what differs."""
    attempt = Attempt(amount_minor, fields.pop("currency", "USD"), new_source())
    key = secrets.token_hex(8)
    given: dict[str, Any] = {
        "merchant": merchant,
        "attempt": attempt,
        "description": None,
        "capture": True,
        "source_key": source_key(merchant.merchant_id, attempt.currency, attempt.source),
        "key_digest": scope_digest(merchant.merchant_id, "create", "", key),
        "body_digest": body_digest(key.encode()),
        "payment_id": ids.new_id(),
        "event_id": ids.new_id(),
        "deadline_s": 0.0,
    }
    return Submission(**(given | fields))


def put(database: Database, *payments: Submission, at: datetime | None = None) -> None:
    """Record payments as if they had been taken at the time `at`."""

    async def record() -> None:
        when = at or datetime.now(UTC)
        claimed = batches.Claim(when, frozenset(), frozenset(), {}, {})
        conninfo = service_conninfo(database.service_url)
        pipeline = await Pipeline.connect(conninfo, batches.HOT_STATEMENTS)
        with closing(pipeline):
            pipeline.send("begin")
            decided = batches.decide_batch(payments, claimed).decided
            await batches.record(pipeline, when, decided, unshared())

    asyncio.run(record())


def with_pool(database: Database, act: Callable[[Pool], Awaitable[T]]) -> T:
    """Run `act` with a pool of the service's login."""

    async def run() -> T:
        async with pool(database.service_url) as connections:
            return await act(connections)

    return asyncio.run(run())


def balance(database: Database, merchant: Merchant) -> dict[str, int]:
    """Return the accounts of a merchant that are not zero; it has one currency."""
    rows = database.rows(BALANCES, [merchant.merchant_id])
    assert len(rows) <= 1
    names = ("receivable", "holds", "pending", "available", "fees", "refunds")
    return {
        name: amount for row in rows for name, amount in zip(names, row[1:], strict=True) if amount
    }

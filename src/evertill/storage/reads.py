"""What merchants read: payments, events and balances, page by page; never another merchant's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg_pool import AsyncConnectionPool

from evertill.domain.money import exponent
from evertill.domain.payments import Balance, StoredPayment
from evertill.domain.rules import SourceHistory
from evertill.domain.states import State
from evertill.storage.batch import read_history
from evertill.storage.packing import pack_int8
from evertill.storage.statements import STATEMENTS


class StoredEvent(NamedTuple):
    """An event as it is stored; its position in the list is (transaction_id, event_id)."""

    transaction_id: int
    event_id: bytes
    type: str
    payment_id: bytes
    created_at: datetime
    answer: str


async def get_payment(
    pool: AsyncConnectionPool, merchant_id: int, payment_id: bytes
) -> StoredPayment | None:
    """Return one payment, or None when this merchant has none of that id."""
    parameters = {"merchant_id": merchant_id, "payment_id": payment_id.hex()}
    rows = await _fetch(pool, "get_payment", parameters)
    return read_payment(rows[0]) if rows else None


async def list_payments(
    pool: AsyncConnectionPool, merchant_id: int, before: bytes, most: int
) -> list[StoredPayment]:
    """Return up to `most` payments with ids below `before`, newest first."""
    parameters = {"merchant_id": merchant_id, "before": before.hex(), "most": most}
    return [read_payment(row) for row in await _fetch(pool, "list_payments", parameters)]


async def list_events(
    pool: AsyncConnectionPool, merchant_id: int, after: tuple[int, bytes], most: int
) -> list[StoredEvent]:
    """Return up to `most` events behind the position `after`, oldest first."""
    parameters = {
        "merchant_id": merchant_id,
        "after_transaction": after[0],
        "after": after[1].hex(),
        "most": most,
    }
    rows = await _fetch(pool, "list_events", parameters)
    return [StoredEvent(r[0], r[1].bytes, r[2], r[3].bytes, r[4], r[5]) for r in rows]


async def list_balances(pool: AsyncConnectionPool, merchant_id: int) -> list[Balance]:
    """Return a merchant's balances, one per currency."""
    rows = await _fetch(pool, "list_balances", {"merchant_id": merchant_id})
    accounts = Balance.__struct_fields__[2:]
    return [
        Balance(
            currency=row[0], exponent=exponent(row[0]), **dict(zip(accounts, row[1:], strict=True))
        )
        for row in rows
    ]


async def get_history(pool: AsyncConnectionPool, source_key: int) -> SourceHistory:
    """Return a source's history without locking it, for a decision that takes no payment."""
    rows = await _fetch(pool, "find_history", {"source_keys": pack_int8([source_key])})
    return read_history(rows[0][1:]) if rows else SourceHistory()


def read_payment(row: Sequence[Any]) -> StoredPayment:
    """Read the columns of a payment, in the order that every query names them."""
    return StoredPayment(row[0], row[1].bytes, State(row[2]), *row[3:16])


async def _fetch(
    pool: AsyncConnectionPool, statement: str, parameters: dict[str, Any]
) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(STATEMENTS[statement], parameters, binary=True)
        return await cursor.fetchall()

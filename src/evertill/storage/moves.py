"""Moves of single payments: captured, canceled, refunded by a caller, expired by a job.

Each is one transaction of two round trips, like a batch: claim the key and the payment's row, let
the domain decide, record and commit. A commit whose answer was lost is looked up under its key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.domain import ids
from evertill.domain.errors import (
    InsufficientFunds,
    KeyInFlight,
    NotFound,
    NotTheWriter,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from evertill.domain.moves import Move, expire
from evertill.domain.payments import Refund, StoredPayment
from evertill.storage import permits
from evertill.storage.answers import lock_number, read_answers, replay
from evertill.storage.database import TRANSIENT
from evertill.storage.packing import (
    pack_int2,
    pack_int4,
    pack_int8,
    pack_optional_uuid,
    pack_text,
    pack_uuid,
)
from evertill.storage.permits import Permit, Permits
from evertill.storage.reads import read_payment
from evertill.storage.statements import STATEMENTS
from evertill.storage.submissions import Answer

EXPIRE_BATCH_SIZE_MAX: Final = 500
RETRY_PAUSE_S: Final = 0.05


class Decide(Protocol):
    """Decides a move from the payment, the time under its lock, and whether it is settled."""

    def __call__(self, payment: StoredPayment, at: datetime, *, settled: bool) -> Move:
        """Return the move, or raise why there is none."""


class MoveRequest(NamedTuple):
    """A caller's request to move a payment; its ids are kept over retries."""

    merchant_id: int
    payment_id: bytes
    key_digest: bytes
    body_digest: bytes
    event_id: bytes
    refund_id: bytes
    decide: Decide
    reference: str | None = None


class _Recorded(NamedTuple):
    move: Move
    event_id: bytes
    key_digest: bytes | None
    body_digest: bytes | None
    refund_id: bytes | None
    answer: bytes


async def move_payment(pool: AsyncConnectionPool, request: MoveRequest, allowed: Permits) -> Answer:
    """Carry out one move, trying again over lost connections until it is cancelled from outside.

    Raise NotFound, KeyInFlight, KeyReused, KeyExpired, InsufficientFunds, whatever `decide` raises,
    NotTheWriter or Unavailable, and OutcomeUnknown when it is cancelled while a commit is in doubt.
    """
    in_doubt = False
    while True:
        try:
            return await _move_once(pool, request, allowed())
        except PoolTimeout:
            away = Unavailable if allowed().remaining_s() > 0 else NotTheWriter
            raise (OutcomeUnknown if in_doubt else away) from None
        except TooManyRequests:
            raise (OutcomeUnknown if in_doubt else Overloaded) from None
        except psycopg.errors.ReadOnlySqlTransaction:
            raise (OutcomeUnknown if in_doubt else NotTheWriter) from None
        except psycopg.errors.CheckViolation as failure:
            if failure.diag.constraint_name == "balances_available_not_negative":
                raise InsufficientFunds from None
            raise
        except TRANSIENT:
            await _pause(in_doubt=in_doubt)
        except psycopg.OperationalError:
            in_doubt = True
            await _pause(in_doubt=in_doubt)


async def _pause(*, in_doubt: bool) -> None:
    try:
        await asyncio.sleep(RETRY_PAUSE_S)
    except asyncio.CancelledError:
        raise (OutcomeUnknown if in_doubt else Unavailable) from None


async def _move_once(pool: AsyncConnectionPool, request: MoveRequest, permit: Permit) -> Answer:
    key, payment = request.key_digest, request.payment_id
    async with pool.connection() as connection:
        async with connection.pipeline():
            held = await connection.execute(
                STATEMENTS["try_locks"], {"locks": pack_int8([lock_number(key)])}
            )
            known = await connection.execute(
                STATEMENTS["find_answers"], {"key_digests": pack_uuid([key])}, binary=True
            )
            locked = await connection.execute(
                STATEMENTS["lock_payment"],
                {"merchant_id": request.merchant_id, "payment_id": payment.hex()},
                binary=True,
            )
        if await held.fetchone():
            raise KeyInFlight
        row = await locked.fetchone()
        if row is None:
            raise NotFound
        at, settled = row[16:]
        if stored := read_answers(await known.fetchall()).get(key):
            outcome = replay(request, stored, at)
            if isinstance(outcome, Answer):
                return outcome
            raise outcome
        move = request.decide(read_payment(row), at, settled=settled)
        answer = _answer(move, request, at)
        refund_id = request.refund_id if move.refund_minor else None
        recorded = _Recorded(move, request.event_id, key, request.body_digest, refund_id, answer)
        await _record(connection, at, [recorded], permit)
    if permit.remaining_s() <= 0:
        # The commit may have been held up for so long that another region writes by now.
        raise OutcomeUnknown
    return Answer(answer, replayed=False)


async def expire_authorizations(pool: AsyncConnectionPool, allowed: Permits) -> int:
    """Expire what is over, a batch at most; return how many. Safe to run on many tasks at once."""
    permit = allowed()
    async with pool.connection() as connection:
        cursor = await connection.execute(
            STATEMENTS["lock_expired"], {"most": EXPIRE_BATCH_SIZE_MAX}, binary=True
        )
        rows = await cursor.fetchall()
        recorded = [_expired(read_payment(row)) for row in rows]
        if recorded:
            await _record(connection, rows[0][16], recorded, permit)
    return len(recorded)


def _expired(payment: StoredPayment) -> _Recorded:
    move = expire(payment)
    answer = msgspec.json.encode(move.payment.resource())
    return _Recorded(move, ids.new_id(), None, None, None, answer)


def _answer(move: Move, request: MoveRequest, at: datetime) -> bytes:
    payment = move.payment
    if not move.refund_minor:
        return msgspec.json.encode(payment.resource())
    return msgspec.json.encode(
        Refund(
            id=ids.write_id(ids.REFUND, request.refund_id),
            payment_id=ids.write_id(ids.PAYMENT, payment.payment_id),
            payment_status=payment.status,
            amount=move.refund_minor,
            currency=payment.currency,
            exponent=payment.exponent,
            reference=request.reference,
            created_at=at,
        )
    )


async def _record(
    connection: psycopg.AsyncConnection[Any],
    at: datetime,
    rows: Sequence[_Recorded],
    permit: Permit,
) -> None:
    parameters = (
        _columns(rows)
        | _transfer_columns(rows)
        | {
            "recorded_at": at,
            "of_epoch": permit.epoch,
            "lease_end": permits.end(permit, at),
        }
    )
    async with connection.pipeline():
        await connection.execute(STATEMENTS["record_moves"], parameters)
        await connection.commit()


def _columns(rows: Sequence[_Recorded]) -> dict[str, object]:
    payments = [row.move.payment for row in rows]
    return {
        "merchant_ids": pack_int8([p.merchant_id for p in payments]),
        "payment_ids": pack_uuid([p.payment_id for p in payments]),
        "event_ids": pack_uuid([row.event_id for row in rows]),
        "key_digests": pack_optional_uuid([row.key_digest for row in rows]),
        "body_digests": pack_optional_uuid([row.body_digest for row in rows]),
        "types": pack_text([row.move.event_type.encode() for row in rows]),
        "statuses": pack_text([p.status.encode() for p in payments]),
        "captured": pack_int8([p.captured_minor for p in payments]),
        "refunded": pack_int8([p.refunded_minor for p in payments]),
        "fees": pack_int8([p.fee_minor for p in payments]),
        "refund_ids": pack_optional_uuid([row.refund_id for row in rows]),
        "refund_amounts_minor": pack_int8([row.move.refund_minor for row in rows]),
        "answers": pack_text([row.answer for row in rows]),
    }


def _transfer_columns(rows: Sequence[_Recorded]) -> dict[str, object]:
    posted = [
        (row.move.payment, ordinal, transfer)
        for row in rows
        for ordinal, transfer in enumerate(row.move.transfers, start=1)
    ]
    return {
        "subject_ids": pack_uuid([payment.payment_id for payment, _, _ in posted]),
        "ordinals": pack_int4([ordinal for _, ordinal, _ in posted]),
        "transfer_merchant_ids": pack_int8([payment.merchant_id for payment, _, _ in posted]),
        "currencies": pack_text([payment.currency.encode() for payment, _, _ in posted]),
        "kinds": pack_int2([transfer.kind for _, _, transfer in posted]),
        "debits": pack_int2([transfer.debit for _, _, transfer in posted]),
        "credits": pack_int2([transfer.credit for _, _, transfer in posted]),
        "amounts_minor": pack_int8([transfer.amount_minor for _, _, transfer in posted]),
        "transfer_fees_minor": pack_int8([transfer.fee_minor for _, _, transfer in posted]),
    }

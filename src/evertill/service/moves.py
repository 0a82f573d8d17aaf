"""The handlers that move a payment which exists: capture, cancel, refund."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from psycopg_pool import AsyncConnectionPool

from evertill.domain import ids, moves
from evertill.domain.idempotency import body_digest, read_key, scope_digest
from evertill.domain.payments import StoredPayment
from evertill.domain.requests import check_text, read_body
from evertill.service.auth import Caller
from evertill.service.exchange import REPLAYED, Exchange, Response
from evertill.service.models import NewCancel, NewCapture, NewRefund
from evertill.storage.moves import Decide, MoveRequest, move_payment

EMPTY_BODY: Final = b"{}"

_capture_decoder: Final = msgspec.json.Decoder(NewCapture)
_cancel_decoder: Final = msgspec.json.Decoder(NewCancel)
_refund_decoder: Final = msgspec.json.Decoder(NewRefund)
_encoder: Final = msgspec.json.Encoder()


class Moves:
    """The handlers that move payments."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        """Move payments through `pool`."""
        self._pool = pool

    async def capture(self, exchange: Exchange, caller: Caller, payment_id: str) -> Response:
        """Capture an authorized payment."""
        body = read_body(_capture_decoder, exchange.body or EMPTY_BODY)

        def decide(payment: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del settled
            return moves.capture(payment, body.amount, caller.merchant, at)

        request = _request(exchange, caller, payment_id, body, decide)
        return await self._move(request, status=200)

    async def cancel(self, exchange: Exchange, caller: Caller, payment_id: str) -> Response:
        """Cancel an authorized payment."""
        body = read_body(_cancel_decoder, exchange.body or EMPTY_BODY)

        def decide(payment: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del settled
            return moves.cancel(payment, at)

        request = _request(exchange, caller, payment_id, body, decide)
        return await self._move(request, status=200)

    async def refund(self, exchange: Exchange, caller: Caller, payment_id: str) -> Response:
        """Refund a captured payment, whole or in part."""
        body = read_body(_refund_decoder, exchange.body or EMPTY_BODY)
        check_text("reference", body.reference)

        def decide(payment: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del at
            return moves.refund(payment, body.amount, settled=settled)

        request = _request(exchange, caller, payment_id, body, decide)
        return await self._move(request._replace(reference=body.reference), status=201)

    async def _move(self, request: MoveRequest, status: int) -> Response:
        answer = await move_payment(self._pool, request)
        return Response(status, answer.body, headers=REPLAYED if answer.replayed else ())


def _request(
    exchange: Exchange, caller: Caller, payment_id: str, body: msgspec.Struct, decide: Decide
) -> MoveRequest:
    key = read_key(exchange.header(b"idempotency-key"))
    merchant_id = caller.merchant.merchant_id
    exchange.payment_id = ids.read_id(ids.PAYMENT, payment_id)
    operation = exchange.route.rpartition("/")[2]
    return MoveRequest(
        merchant_id=merchant_id,
        payment_id=exchange.payment_id,
        key_digest=scope_digest(merchant_id, operation, payment_id, key),
        body_digest=body_digest(_encoder.encode(body)),
        event_id=ids.new_id(),
        refund_id=ids.new_id(),
        decide=decide,
    )

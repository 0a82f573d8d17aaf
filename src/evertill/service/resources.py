"""The handlers that read: single payments, lists, balances, and validations, which take nothing."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from evertill.domain import ids
from evertill.domain.errors import InvalidRequest, NotFound, Unavailable
from evertill.domain.payments import decline_reason
from evertill.domain.requests import NewValidation, Validation, read_body
from evertill.domain.rules import Attempt, decide, source_key
from evertill.service.auth import Caller
from evertill.service.bodies import check_payment
from evertill.service.exchange import Exchange, Response
from evertill.service.models import (
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    Balances,
    PageSize,
    PaymentPage,
)
from evertill.storage import reads
from evertill.storage.sources import Sources

QUERY_FIELDS_MAX: Final = 8
NEWEST: Final = b"\xff" * 16
OLDEST: Final = (0, b"\0" * 16)

_position: Final = struct.Struct(">q16s")
_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
_validation_decoder: Final = msgspec.json.Decoder(NewValidation)


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list is asked for."""

    limit: PageSize = PAGE_SIZE_DEFAULT
    cursor: str | None = None


class Resources:
    """The handlers that read."""

    def __init__(self, sources: Sources) -> None:
        """Ask `sources`."""
        self._sources = sources

    async def get_payment(self, _: Exchange, caller: Caller, payment_id: str) -> Response:
        """Return one payment."""
        raw = ids.read_id(ids.PAYMENT, payment_id)
        payment, is_current = await self._sources.ask(
            reads.get_payment, caller.merchant.merchant_id, raw
        )
        if payment is None:
            # Whoever is told that a payment does not exist may pay again, and a reader that is
            # behind cannot know that it does not.
            raise NotFound if is_current else Unavailable
        return Response(200, _encode(payment.resource()))

    async def list_payments(self, exchange: Exchange, caller: Caller) -> Response:
        """Return a page of payments, newest first."""
        page = _read_page(exchange)
        before = NEWEST if page.cursor is None else _read_cursor(page.cursor, len(NEWEST))
        merchant_id = caller.merchant.merchant_id
        found, _ = await self._sources.ask(reads.list_payments, merchant_id, before, page.limit + 1)
        shown = found[: page.limit]
        more = _write_cursor(shown[-1].payment_id) if len(found) > page.limit else None
        data = [payment.resource() for payment in shown]
        return Response(200, _encode(PaymentPage(data=data, next_cursor=more)))

    async def list_events(self, exchange: Exchange, caller: Caller) -> Response:
        """Return a page of events, oldest first; the cursor stays good on the last page."""
        page = _read_page(exchange)
        cursor, after = page.cursor, OLDEST
        if cursor is not None:
            after = _position.unpack(_read_cursor(cursor, _position.size))
        merchant_id = caller.merchant.merchant_id
        found, _ = await self._sources.ask(reads.list_events, merchant_id, after, page.limit)
        if found:
            cursor = _write_cursor(_position.pack(found[-1].transaction_id, found[-1].event_id))
        data = [
            {
                "id": ids.write_id(ids.EVENT, event.event_id),
                "type": event.type,
                "payment_id": ids.write_id(ids.PAYMENT, event.payment_id),
                "created_at": event.created_at,
                "data": msgspec.Raw(event.answer.encode()),
            }
            for event in found
        ]
        return Response(200, _encode({"data": data, "next_cursor": cursor}))

    async def list_balances(self, _: Exchange, caller: Caller) -> Response:
        """Return the merchant's balances."""
        data, _is_current = await self._sources.ask(
            reads.list_balances, caller.merchant.merchant_id
        )
        return Response(200, _encode(Balances(data=data)))

    async def validate(self, exchange: Exchange, caller: Caller) -> Response:
        """Decide about a payment without taking it."""
        request = read_body(_validation_decoder, exchange.body)
        check_payment(request)
        merchant = caller.merchant
        key = source_key(merchant.merchant_id, request.currency, request.source)
        history, _ = await self._sources.ask(reads.get_history, key)
        attempt = Attempt(request.amount, request.currency, request.source, request.reference)
        decline = decide(attempt, merchant, history)
        reason = decline_reason(decline.code if decline else None)
        return Response(200, _encode(Validation(valid=decline is None, decline=reason)))


def _read_page(exchange: Exchange) -> _Page:
    try:
        pairs = parse_qsl(
            exchange.query,
            keep_blank_values=True,
            strict_parsing=bool(exchange.query),
            max_num_fields=QUERY_FIELDS_MAX,
        )
        given = dict(pairs)
        if len(given) == len(pairs):
            return msgspec.convert(given, _Page, strict=False)
    except ValueError:
        pass
    message = f"The query takes `limit` (1 to {PAGE_SIZE_MAX}) and `cursor`, each once."
    raise InvalidRequest(message, field="query")


def _write_cursor(position: bytes) -> str:
    return base64.urlsafe_b64encode(position).decode().rstrip("=")


def _read_cursor(cursor: str, size: int) -> bytes:
    try:
        position = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        position = b""
    if len(position) != size:
        raise InvalidRequest("The cursor is not one that a list has given out.", field="cursor")
    return position

"""The handlers of webhook endpoints: merchants say where they want to be told, and of what.

It is separate from resources.py because these change something, though never money: they need no
idempotency key, and repeating one does no harm beyond one more endpoint or secret.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from psycopg_pool import AsyncConnectionPool

from evertill.domain import ids
from evertill.domain.errors import InvalidRequest, NotFound
from evertill.domain.requests import read_body
from evertill.domain.webhooks import new_secret
from evertill.journal.addresses import AddressRefused, check_url
from evertill.service.auth import Caller
from evertill.service.exchange import Exchange, Response
from evertill.service.models import (
    DeadLetterList,
    NewRedelivery,
    NewWebhook,
    Redelivery,
    Webhook,
    WebhookList,
    WebhookSecret,
)
from evertill.storage import webhooks as storage

_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
_webhook_decoder: Final = msgspec.json.Decoder(NewWebhook)
_redelivery_decoder: Final = msgspec.json.Decoder(NewRedelivery)


class Webhooks:
    """The handlers of webhook endpoints."""

    def __init__(self, pool: AsyncConnectionPool, *, is_private_allowed: bool) -> None:
        """Keep endpoints through `pool`; private addresses only where the operator allows them."""
        self._pool = pool
        self._is_private_allowed = is_private_allowed

    async def create_webhook(self, exchange: Exchange, caller: Caller) -> Response:
        """Create an endpoint; its secret is told once."""
        request = read_body(_webhook_decoder, exchange.body)
        try:
            check_url(request.url, is_private_allowed=self._is_private_allowed)
        except AddressRefused as refusal:
            raise InvalidRequest(str(refusal), field="url") from None
        types = None if request.types is None else [str(kind) for kind in request.types]
        endpoint = storage.Endpoint(ids.new_id(), request.url, types, None, datetime.now(UTC))
        secret, merchant_id = new_secret(), caller.merchant.merchant_id
        if not await storage.create_endpoint(self._pool, merchant_id, endpoint, secret):
            message = f"A merchant has up to {storage.ENDPOINTS_MAX} endpoints; delete one first."
            raise InvalidRequest(message, field="url")
        return Response(201, _encode(WebhookSecret(id=_name(endpoint), secret=secret)))

    async def list_webhooks(self, _: Exchange, caller: Caller) -> Response:
        """Return the merchant's endpoints."""
        found = await storage.list_endpoints(self._pool, caller.merchant.merchant_id)
        return Response(200, _encode(WebhookList(data=[_resource(one) for one in found])))

    async def get_webhook(self, _: Exchange, caller: Caller, name: str) -> Response:
        """Return one endpoint."""
        return await self._show(caller, ids.read_id(ids.WEBHOOK, name))

    async def delete_webhook(self, _: Exchange, caller: Caller, name: str) -> Response:
        """Forget an endpoint; answer it as it was."""
        endpoint_id, merchant_id = ids.read_id(ids.WEBHOOK, name), caller.merchant.merchant_id
        answer = await self._show(caller, endpoint_id)
        if not await storage.remove_endpoint(self._pool, merchant_id, endpoint_id):
            raise NotFound
        return answer

    async def enable_webhook(self, _: Exchange, caller: Caller, name: str) -> Response:
        """Tell an endpoint again that was disabled."""
        endpoint_id, merchant_id = ids.read_id(ids.WEBHOOK, name), caller.merchant.merchant_id
        if not await storage.enable_endpoint(self._pool, merchant_id, endpoint_id):
            raise NotFound
        return await self._show(caller, endpoint_id)

    async def rotate_webhook(self, _: Exchange, caller: Caller, name: str) -> Response:
        """Give an endpoint a new secret."""
        endpoint_id, secret = ids.read_id(ids.WEBHOOK, name), new_secret()
        merchant_id = caller.merchant.merchant_id
        if not await storage.rotate_secret(self._pool, merchant_id, endpoint_id, secret):
            raise NotFound
        return Response(200, _encode(WebhookSecret(id=name, secret=secret)))

    async def redeliver(self, exchange: Exchange, caller: Caller, name: str) -> Response:
        """Deliver an event once more."""
        endpoint_id = ids.read_id(ids.WEBHOOK, name)
        request = read_body(_redelivery_decoder, exchange.body)
        event_id = ids.read_id(ids.EVENT, request.event_id)
        merchant_id = caller.merchant.merchant_id
        if not await storage.redeliver(self._pool, merchant_id, endpoint_id, event_id):
            raise NotFound
        return Response(202, _encode(Redelivery(webhook_id=name, event_id=request.event_id)))

    async def list_dead_letters(self, _: Exchange, caller: Caller, name: str) -> Response:
        """Return what an endpoint was not told."""
        endpoint_id, merchant_id = ids.read_id(ids.WEBHOOK, name), caller.merchant.merchant_id
        await self._show(caller, endpoint_id)
        found = await storage.list_dead_letters(self._pool, merchant_id, endpoint_id)
        data = [
            {
                "event_id": ids.write_id(ids.EVENT, letter.event_id),
                "type": letter.type,
                "payment_id": ids.write_id(ids.PAYMENT, letter.payment_id),
                "attempts": letter.attempts,
                "attempted_at": letter.attempted_at,
                "error": letter.error,
            }
            for letter in found
        ]
        return Response(200, _encode(msgspec.convert({"data": data}, DeadLetterList)))

    async def _show(self, caller: Caller, endpoint_id: bytes) -> Response:
        """Return an endpoint of the caller's; raise NotFound."""
        merchant_id = caller.merchant.merchant_id
        found = await storage.list_endpoints(self._pool, merchant_id, endpoint_id)
        if not found:
            raise NotFound
        return Response(200, _encode(_resource(found[0])))


def _name(endpoint: storage.Endpoint) -> str:
    return ids.write_id(ids.WEBHOOK, endpoint.endpoint_id)


def _resource(endpoint: storage.Endpoint) -> Webhook:
    return Webhook(
        id=_name(endpoint),
        url=endpoint.url,
        types=endpoint.types,
        status="enabled" if endpoint.disabled_reason is None else "disabled",
        disabled_reason=endpoint.disabled_reason,
        created_at=endpoint.created_at,
    )

"""The bodies of requests and answers, typed once: the OpenAPI document is generated from these.

Limits on fields are part of the types, so that the document, the decoder and the tests agree.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from evertill.domain.payments import Balance, Payment
from evertill.domain.requests import TEXT_PATTERN, Amount, Currency, Reference, Source

BATCH_ITEMS_MAX: Final = 1_000
PAGE_SIZE_MAX: Final = 100
PAGE_SIZE_DEFAULT: Final = 20

Description = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        description="Free text.",
        examples=["Two tickets"],
        extra_json_schema={"pattern": TEXT_PATTERN},
    ),
]
PageSize = Annotated[int, Meta(ge=1, le=PAGE_SIZE_MAX)]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        # Only told here: `domain.idempotency.check_key` holds it, for headers as for batches.
        extra_json_schema={"pattern": "^[!-~]([ -~]*[!-~])?$"},
        examples=["order-1001-1"],
    ),
]


class NewPayment(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A payment to take: authorized, and captured at once unless `capture` is false."""

    amount: Amount
    currency: Currency
    source: Source
    capture: bool = True
    reference: Reference | None = None
    description: Description | None = None


class BatchItem(NewPayment, frozen=True, kw_only=True):
    """A payment of a batch, with an idempotency key of its own."""

    idempotency_key: Key


class NewBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 1000 payments, taken in order; each succeeds or fails by itself."""

    payments: Annotated[list[BatchItem], Meta(min_length=1, max_length=BATCH_ITEMS_MAX)]


class NewCapture(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A capture: all that was authorized, or a part of it. It is final and releases the rest."""

    amount: Amount | None = None


class NewCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cancellation: nothing is to be said about it, so the body may be empty."""


class NewRefund(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A refund: all that is left to refund, or a part of it."""

    amount: Amount | None = None
    reference: Reference | None = None


EventType = Literal[
    "payment.authorized",
    "payment.declined",
    "payment.captured",
    "payment.canceled",
    "payment.expired",
    "payment.refunded",
]


class NewWebhook(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """An endpoint to tell of events: of all of them, or of those whose types are named."""

    url: Annotated[
        str,
        Meta(
            min_length=9,
            max_length=2048,
            description="A public https:// address.",
            examples=["https://example.com/hooks"],
        ),
    ]
    types: Annotated[list[EventType], Meta(min_length=1, max_length=16)] | None = None


class NewRedelivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to deliver once more."""

    event_id: Annotated[str, Meta(max_length=64, examples=["evt_019a2b3c4d5e7f008192a3b4c5d6e7f8"])]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one payment of a batch: `body` is what it alone would have been answered."""

    status: int
    replayed: bool
    # msgspec writes no schema for a union of untagged structs, so this one is spelled out.
    body: Annotated[
        Any,
        Meta(
            extra_json_schema={
                "anyOf": [
                    {"$ref": "#/components/schemas/Payment"},
                    {"$ref": "#/components/schemas/Problem"},
                ]
            }
        ),
    ]


class BatchResults(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each payment of the batch, in its order."""

    results: list[BatchResult]


class PaymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Payments, newest first; `next_cursor` leads to the next page and is null on the last."""

    data: list[Payment]
    next_cursor: str | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a payment; `data` is the resource as it then was."""

    id: str
    type: str
    payment_id: str
    created_at: datetime
    data: dict[str, Any]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, oldest first; `next_cursor` leads on, and can be kept to ask again later."""

    data: list[Event]
    next_cursor: str | None


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is told of events; without `types`, of all."""

    id: str
    url: str
    types: list[str] | None
    status: Literal["enabled", "disabled"]
    disabled_reason: str | None
    created_at: datetime


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's signing secret, which is told only now."""

    id: str
    secret: str


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant's endpoints."""

    data: list[Webhook]


class Redelivery(msgspec.Struct, frozen=True, kw_only=True):
    """The event will be delivered once more."""

    webhook_id: str
    event_id: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the endpoint was not told of, and why."""

    event_id: str
    type: str
    payment_id: str
    attempts: int
    attempted_at: datetime | None
    error: str | None


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 100 events that the endpoint was not told of, oldest first."""

    data: list[DeadLetter]


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant's balances, by currency."""

    data: list[Balance]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this region can take a payment now, and if not, why."""

    ready: bool
    reason: str | None

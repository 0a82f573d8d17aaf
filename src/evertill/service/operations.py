"""What the OpenAPI document says of each operation beyond the table of routes.

It is separate from routes.py, so that the table there can be read at a glance, and from openapi.py,
which knows how a document is put together and nothing of payments.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from evertill.domain import errors

Errors = tuple[type[errors.EvertillError], ...]
Links = Mapping[str, Mapping[str, str]]


_NOWHERE: Final[Links] = MappingProxyType({})


class Operation(NamedTuple):
    """An operation's id, its tag, a text for readers, errors of its own and where to go next.

    `links` map the ids of operations that may follow to the parameters that they take from this
    one's answer.
    """

    operation_id: str
    tag: str
    text: str
    errors: Errors = ()
    links: Links = _NOWHERE


TAGS: Final = {
    "payments": "Take payments and move them: capture, cancel, refund.",
    "account": "What the merchant has, and what happened.",
    "webhooks": "Be told of events, by the Standard Webhooks specification.",
    "operations": "For load balancers and operators; no key is needed.",
    "documentation": "This document.",
}

_OF_PAYMENT: Final = {"id": "$response.body#/id"}
_OF_WEBHOOK: Final = {"id": "$response.body#/id"}
_REFUSED: Final = (errors.UnknownCurrency, errors.CardNumberRefused)
_CAN_CAPTURE: Final = (errors.IllegalTransition, errors.AmountTooLarge)

OPERATIONS: Final = {
    "create": Operation(
        "createPayment",
        "payments",
        "Authorizes the payment, and captures it at once unless `capture` is false. A payment that "
        "a rule declines is stored and answered with 201 and the status `declined`; a new attempt "
        "needs a new key.",
        (*_REFUSED, errors.RateLimited),
        {
            "getPayment": _OF_PAYMENT,
            "capturePayment": _OF_PAYMENT,
            "cancelPayment": _OF_PAYMENT,
            "refundPayment": _OF_PAYMENT,
        },
    ),
    "list_payments": Operation(
        "listPayments",
        "payments",
        "Newest first. `next_cursor` leads to the next page and is null on the last one.",
        (errors.InvalidRequest,),
        {"listPayments": {"cursor": "$response.body#/next_cursor"}},
    ),
    "create_batch": Operation(
        "createBatch",
        "payments",
        "Each payment has an idempotency key of its own, shares its scope with `createPayment`, "
        "and succeeds or fails by itself: the result at its position holds the status and the "
        "body that it alone would have been answered with.",
        (errors.RateLimited,),
    ),
    "get_payment": Operation(
        "getPayment",
        "payments",
        "The payment as it stands now.",
        (),
        {"refundPayment": _OF_PAYMENT},
    ),
    "capture": Operation(
        "capturePayment",
        "payments",
        "Captures all that was authorized, or `amount` of it. A capture is final and releases the "
        "rest of the hold.",
        _CAN_CAPTURE,
        {"getPayment": _OF_PAYMENT, "refundPayment": _OF_PAYMENT},
    ),
    "cancel": Operation(
        "cancelPayment",
        "payments",
        "Releases an authorization that will not be captured.",
        (errors.IllegalTransition,),
        {"getPayment": _OF_PAYMENT},
    ),
    "refund": Operation(
        "refundPayment",
        "payments",
        "Refunds all that is left of what was captured, or `amount` of it. Several refunds of one "
        "payment are possible, up to the amount captured.",
        (*_CAN_CAPTURE, errors.InsufficientFunds, errors.CardNumberRefused),
        {"getPayment": {"id": "$response.body#/payment_id"}},
    ),
    "validate": Operation(
        "validatePayment",
        "payments",
        "Says whether the payment would be taken now, without taking it or counting it.",
        _REFUSED,
    ),
    "list_balances": Operation(
        "listBalances",
        "account",
        "One row per currency that was ever used. Each figure is credit minus debit; the six of a "
        "row sum to zero.",
    ),
    "list_events": Operation(
        "listEvents",
        "account",
        "Oldest first. `next_cursor` is given on the last page too: keep it, and ask again with it "
        "for what happened since.",
        (errors.InvalidRequest,),
        {"listEvents": {"cursor": "$response.body#/next_cursor"}},
    ),
    "create_webhook": Operation(
        "createWebhook",
        "webhooks",
        "Each event is posted as a signed message until it is answered with 2xx, after 5 seconds, "
        "then minutes, then hours, for three days. The secret is told only here.",
        (),
        {"getWebhook": _OF_WEBHOOK, "deleteWebhook": _OF_WEBHOOK},
    ),
    "list_webhooks": Operation("listWebhooks", "webhooks", "All endpoints of the merchant."),
    "get_webhook": Operation("getWebhook", "webhooks", "The endpoint as it stands now."),
    "delete_webhook": Operation(
        "deleteWebhook", "webhooks", "What was still to be delivered to it is forgotten."
    ),
    "enable_webhook": Operation(
        "enableWebhook",
        "webhooks",
        "An endpoint that answers 410 is disabled. Enabled again, it is told of new events, and of "
        "those that were waiting.",
    ),
    "rotate_webhook": Operation(
        "rotateWebhookSecret",
        "webhooks",
        "Answers a new secret. The one before signs along for 24 hours.",
    ),
    "redeliver": Operation(
        "redeliverEvent",
        "webhooks",
        "Whether it was delivered before, is still tried, or is among the dead letters.",
    ),
    "list_dead_letters": Operation(
        "listDeadLetters",
        "webhooks",
        "What was tried for three days in vain, or when the endpoint was gone.",
    ),
    "health": Operation(
        "getHealth", "operations", "The process answers; the database is not asked."
    ),
    "ready": Operation(
        "getReadiness",
        "operations",
        "200 while this region can take a payment, else 503 and the reason.",
    ),
    "metrics": Operation("getMetrics", "operations", "Not served to the internet."),
    "openapi": Operation("getDocument", "documentation", "OpenAPI 3.1."),
    "docs": Operation("getPage", "documentation", "Not served to the internet."),
    "docs_asset": Operation(
        "getPageAsset", "documentation", "Scripts and style sheets.", (errors.NotFound,)
    ),
}

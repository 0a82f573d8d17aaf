"""Every error that Evertill raises on purpose, in one small hierarchy.

It is a module of its own because all rooms raise these errors and none of them may import another
room only for that. An error's docstring is its default message; its `code` never changes once
released, because callers branch on it.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class EvertillError(Exception):
    """Evertill could not do what was asked."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, **fields: str | int | None) -> None:
        """Carry `message` (the docstring when None) and the named `fields` that explain it."""
        super().__init__(message or " ".join(inspect.cleandoc(self.__doc__ or "").split()))
        self.fields = fields


class UsageError(EvertillError):
    """The command cannot be carried out as it was given."""

    code = "usage"


class MalformedRequest(EvertillError):
    """The request is not readable: its JSON or a header is malformed."""

    code = "malformed_request"


class InvalidRequest(EvertillError):
    """The request is readable, but a field does not hold what it must."""

    code = "invalid_request"


class UnknownCurrency(InvalidRequest):
    """The currency is not an ISO 4217 code of a currency that has minor units."""

    code = "unknown_currency"


class CardNumberRefused(InvalidRequest):
    """The field holds what looks like a card number. Send a token of the card instead."""

    code = "card_number_refused"


class Unauthorized(EvertillError):
    """No valid API key was sent. Send `Authorization: Bearer <key>`."""

    code = "unauthorized"


class Forbidden(EvertillError):
    """The API key is valid, but its scope does not cover this operation."""

    code = "forbidden"


class NotFound(EvertillError):
    """There is nothing under this address."""

    code = "not_found"


class MethodNotAllowed(EvertillError):
    """This address does not take this method."""

    code = "method_not_allowed"


class IllegalTransition(EvertillError):
    """The payment is in a state from which this operation is not possible."""

    code = "illegal_transition"


class AmountTooLarge(EvertillError):
    """The amount is larger than what is left of the payment for this operation."""

    code = "amount_too_large"


class InsufficientFunds(EvertillError):
    """The merchant's available balance does not cover this refund."""

    code = "insufficient_funds"


class IdempotencyKeyMissing(EvertillError):
    """This operation moves money and needs an `Idempotency-Key` header."""

    code = "idempotency_key_missing"


class IdempotencyKeyInvalid(EvertillError):
    """The idempotency key must be 1 to 255 printable ASCII characters."""

    code = "idempotency_key_invalid"


class KeyReused(EvertillError):
    """The idempotency key was already used with another body. Use a new key for a new payment."""

    code = "key_reused"


class KeyInFlight(EvertillError):
    """A request with this idempotency key is still being processed. Retry with the same key."""

    code = "key_in_flight"


class KeyExpired(EvertillError):
    """The idempotency key was used more than 7 days ago; its answer is no longer kept."""

    code = "key_expired"


class RequestTimeout(EvertillError):
    """The request's body did not arrive in time."""

    code = "request_timeout"


class BodyTooLarge(EvertillError):
    """The request's body is larger than 1 MiB."""

    code = "body_too_large"


class UnsupportedMediaType(EvertillError):
    """The body must be uncompressed JSON. Send `Content-Type: application/json`."""

    code = "unsupported_media_type"


class RateLimited(EvertillError):
    """The merchant's request rate is over its limit. Retry after the stated time."""

    code = "rate_limited"


class Overloaded(EvertillError):
    """The service has as much work as it can finish in time. Nothing was done; retry later."""

    code = "overloaded"


class Unavailable(EvertillError):
    """This region cannot take payments at the moment. Nothing was done; retry later."""

    code = "unavailable"


class NotTheWriter(Unavailable):
    """This region does not take payments now: another one does. Nothing was done; retry later."""

    code = "not_the_writer"


class OutcomeUnknown(EvertillError):
    """The outcome is unknown. Retry with the same idempotency key to learn it."""

    code = "outcome_unknown"


class InternalError(EvertillError):
    """Something failed inside the service. Nothing was done; retry with the same key."""

    code = "internal_error"

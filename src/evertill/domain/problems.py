"""How an error becomes an answer: its HTTP status and its problem details (RFC 9457).

One table says it for every error, so that a handler only raises. Types are URNs: stable names that
nobody has to host. What is not an EvertillError is an internal error, whose cause goes to the log
and never to a caller. The service and the validation function answer by the same table.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from evertill.domain import errors

STATUSES: Final[dict[type[errors.EvertillError], HTTPStatus]] = {
    errors.MalformedRequest: HTTPStatus.BAD_REQUEST,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownCurrency: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CardNumberRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AmountTooLarge: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    errors.IllegalTransition: HTTPStatus.CONFLICT,
    errors.InsufficientFunds: HTTPStatus.CONFLICT,
    errors.KeyInFlight: HTTPStatus.CONFLICT,
    errors.KeyExpired: HTTPStatus.CONFLICT,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    errors.IdempotencyKeyInvalid: HTTPStatus.BAD_REQUEST,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutcomeUnknown: HTTPStatus.GATEWAY_TIMEOUT,
    errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# When to come back, in seconds, for the errors after which the same request may succeed.
RETRY_AFTER_S: Final[dict[type[errors.EvertillError], int]] = {
    errors.KeyInFlight: 1,
    errors.RateLimited: 1,
    errors.Overloaded: 1,
    errors.Unavailable: 2,
    errors.OutcomeUnknown: 1,
}

TYPE_PREFIX: Final = "urn:evertill:problem:"

_titles: Final = {kind: kind().args[0].split(". ")[0].rstrip(".") for kind in STATUSES}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, as RFC 9457 has it; branch on `code`."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    field: str | None = None
    payment_id: str | None = None
    current_status: str | None = None
    requested_status: str | None = None


def status_of(error: errors.EvertillError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(error: errors.EvertillError, request_id: str) -> Problem:
    """Describe an error to the caller of the request `request_id`."""
    fields = {
        name: str(value)
        for name, value in error.fields.items()
        if name in Problem.__struct_fields__ and value is not None
    }
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=_titles.get(type(error), "Internal error"),
        status=int(status_of(error)),
        code=error.code,
        detail=str(error),
        request_id=request_id,
        **fields,
    )


def headers(error: errors.EvertillError) -> tuple[tuple[str, str], ...]:
    """Return the headers that go with an error (RFC 9110, sections 10.2.1, 10.2.3 and 11.6.1)."""
    found = []
    if retry_after_s := RETRY_AFTER_S.get(type(error)):
        found.append(("retry-after", str(retry_after_s)))
    if isinstance(error, errors.Unauthorized):
        found.append(("www-authenticate", "Bearer"))
    if isinstance(error, errors.MethodNotAllowed):
        found.append(("allow", str(error.fields.get("allow", ""))))
    return tuple(found)


def encode(error: errors.EvertillError, request_id: str) -> bytes:
    """Return the problem's JSON."""
    return msgspec.json.encode(problem(error, request_id))

"""The load balancer's way in: its event is a request, its answer the service's answer.

Same checks in the same order as the service, on the same types and the same table of problems; a
test asks both the same questions.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from evertill.domain import problems
from evertill.domain.errors import (
    BodyTooLarge,
    EvertillError,
    Forbidden,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
)
from evertill.domain.payments import decline_reason
from evertill.domain.requests import (
    BODY_SIZE_MAX,
    NewValidation,
    Validation,
    check_media_type,
    check_texts,
    read_body,
)
from evertill.domain.rules import Merchant
from evertill.validation.decisions import Engine, Question, read_merchant
from evertill.validation.telemetry import count, report

PATH: Final = "/v1/validations"
METHOD: Final = "POST"
SCOPE: Final = "read"
HEADER_LENGTH_MAX: Final = 128
SCHEME: Final = "bearer "

_JSON: Final = "application/json"
_PROBLEM_JSON: Final = "application/problem+json"

_decoder: Final = msgspec.json.Decoder(NewValidation)
_encoder: Final = msgspec.json.Encoder()

Event = dict[str, Any]


class Reply(NamedTuple):
    """An answer before it has the form that the load balancer wants."""

    status: HTTPStatus
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def is_balancer_event(event: object) -> bool:
    """Tell whether a load balancer sent the event."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    return isinstance(context, dict) and "elb" in context


def answer(engine: Engine, event: Event, request_id: str) -> dict[str, Any]:
    """Answer a request; whatever goes wrong is a problem's answer too."""
    try:
        reply = Reply(HTTPStatus.OK, _JSON, _encoder.encode(_validate(engine, event)))
    except EvertillError as error:
        reply = _problem(engine, error, request_id)
    except Exception as failure:  # noqa: BLE001 - the boundary: a caller gets a problem, always
        report(engine.logger, "a request failed", failure)
        count(engine.metrics, "Failed")
        reply = _problem(engine, InternalError(), request_id)
    return _told(reply, request_id, several="multiValueHeaders" in event)


def _validate(engine: Engine, event: Event) -> Validation:
    if event.get("path") != PATH:
        raise NotFound
    if event.get("httpMethod") != METHOD:
        method = str(event.get("httpMethod"))[:16]
        message = f"{PATH} does not take {method}, only {METHOD}."
        raise MethodNotAllowed(message, allow=METHOD)
    headers = _headers(event)
    body = _body(event)
    if body:
        check_media_type(headers)
    merchant = _authenticate(engine, headers.get(b"authorization", b""))
    request = read_body(_decoder, body)
    check_texts(request.currency, request.source, request.reference)
    decision = engine.decide(
        Question(
            "http",
            merchant,
            request.amount,
            request.currency,
            request.source,
            request.reference,
            None,
        )
    )
    reason = decline_reason(decision.decline.code if decision.decline else None)
    return Validation(valid=reason is None, decline=reason, read_only=not decision.is_stored)


def _authenticate(engine: Engine, header: bytes) -> Merchant:
    try:
        text = header.decode("ascii")
    except UnicodeDecodeError:
        message = "The header authorization must be ASCII."
        raise MalformedRequest(message, field="authorization") from None
    if len(text) > HEADER_LENGTH_MAX or text[: len(SCHEME)].lower() != SCHEME:
        raise Unauthorized
    key_digest = sha256(text[len(SCHEME) :].encode()).digest()
    rows = engine.databases.ask("find_caller", key_digest=key_digest)
    if not rows:
        raise Unauthorized
    if SCOPE not in rows[0][3]:
        message = f"This operation needs a key with the scope '{SCOPE}'."
        raise Forbidden(message)
    return read_merchant(rows[0])


def _headers(event: Event) -> dict[bytes, bytes]:
    """Return the headers by lower-case name; a target group sends one value of each or all."""
    several = event.get("multiValueHeaders")
    if several is None:
        pairs = list((event.get("headers") or {}).items())
    else:
        pairs = [(name, value) for name, values in several.items() for value in values]
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        lower = name.lower().encode()
        if lower in found and lower in _SINGLE:
            raise MalformedRequest(f"The header {name.lower()} came twice.")
        found[lower] = str(value).encode()
    return found


def _body(event: Event) -> bytes:
    text = event.get("body") or ""
    if len(text) > 2 * BODY_SIZE_MAX:
        raise BodyTooLarge
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else None
    except (binascii.Error, ValueError):
        raise MalformedRequest("The body is not the base64 that it is said to be.") from None
    body = text.encode("utf-8", "surrogatepass") if body is None else body
    if len(body) > BODY_SIZE_MAX:
        raise BodyTooLarge
    return body


def _problem(engine: Engine, error: EvertillError, request_id: str) -> Reply:
    status = problems.status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.__cause__ is not None:
        report(engine.logger, "a request could not be answered", error)
    count(engine.metrics, "Refused")
    body = problems.encode(error, request_id)
    return Reply(status, _PROBLEM_JSON, body, problems.headers(error))


def _told(reply: Reply, request_id: str, *, several: bool) -> dict[str, Any]:
    headers = {"content-type": reply.media_type, "x-request-id": request_id, **dict(reply.headers)}
    told: dict[str, Any] = {
        "statusCode": int(reply.status),
        "statusDescription": f"{int(reply.status)} {reply.status.phrase}",
        "isBase64Encoded": False,
        "body": reply.body.decode(),
    }
    # A target group with multi-value headers ignores an answer's plain ones.
    if several:
        return {**told, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
    return {**told, "headers": headers}


# Headers whose meaning would depend on which copy is read, as in service/http.py.
_SINGLE: Final = frozenset({b"authorization", b"content-type", b"content-length"})

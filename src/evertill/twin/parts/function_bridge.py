"""Lets a load balancer's node send requests to a function: HTTP in, an event out, and back.

It is separate from the function, which knows no load balancer, and from HAProxy, which knows no
functions: it stands between them as the one server of a group of type `lambda`.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from evertill.twin.api.http import HttpServer
from evertill.twin.api.messages import Answer, Request
from evertill.twin.errors import TwinError
from evertill.twin.parts.haproxy_rules import page
from evertill.twin.plan.balancer_specs import TargetGroupSpec

# "The maximum size of the request body that you can send to a Lambda function is 1 MB", and the
# same holds for what it answers.
BODY_SIZE_MAX_BYTES: Final = 1024 * 1024
TOO_LARGE: Final = 413
BAD_GATEWAY: Final = 502
PRINCIPAL: Final = "elasticloadbalancing.amazonaws.com"
# What is the load balancer's own answer and not the function's is marked for its node.
OWN: Final = ("x-evertill-bridge", "own")
# A body of these types is handed on as text, every other in base64.
TEXT_TYPES: Final = (
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
)
# What belongs to one connection is not the function's to say.
HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Outcome(Protocol):
    """What an invocation came to: the function's payload, or the kind of its error."""

    @property
    def payload(self) -> bytes:
        """Return what the function returned."""

    @property
    def error(self) -> str:
        """Return the kind of failure, empty for none."""


# Invokes the function of a target group for a principal and a source's ARN; may raise TwinError
# when the principal may not, or when no environment is to be had.
Invoke = Callable[[str, str, bytes], Awaitable[Outcome]]


class Response(msgspec.Struct, rename="camel"):
    """What a function answers a load balancer, as JSON."""

    status_code: int
    headers: dict[str, str | int | bool] = {}
    multi_value_headers: dict[str, list[str | int | bool]] = {}
    body: str | None = None
    is_base64_encoded: bool = False


class FunctionBridge:
    """The server that stands for the function of one target group. It is a Part."""

    def __init__(self, spec: TargetGroupSpec, address: tuple[str, int], invoke: Invoke) -> None:
        """Take requests at `address`; port 0 takes any free one."""
        self.spec: Final = spec
        self._invoke = invoke
        self._server = HttpServer(address, self._answer)
        self.requests = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self.spec.region}/function-bridge/{self.spec.name}"

    @property
    def address(self) -> str:
        """Return where it listens."""
        host, port = self._server.address
        return f"{host}:{port}"

    async def start(self) -> None:
        """Take requests."""
        self._server.start()

    async def stop(self) -> None:
        """Take no more."""
        await self._server.stop()

    def status(self) -> dict[str, Any]:
        """Return how many requests it took."""
        return {"address": self.address, "requests": self.requests}

    async def _answer(self, request: Request) -> Answer:
        self.requests += 1
        if len(request.body) > BODY_SIZE_MAX_BYTES:
            return _own(TOO_LARGE)
        try:
            outcome = await self._invoke(PRINCIPAL, self.spec.arn, event_of(request, self.spec))
        except TwinError:
            # Not allowed, throttled or broken: "the load balancer returns HTTP 502".
            return _own(BAD_GATEWAY)
        if outcome.error or len(outcome.payload) > BODY_SIZE_MAX_BYTES:
            return _own(BAD_GATEWAY)
        try:
            return answer_of(outcome.payload)
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            return _own(BAD_GATEWAY)


def event_of(request: Request, spec: TargetGroupSpec) -> bytes:
    """Return the event that a load balancer makes of a request.

    Parameters are handed on as they were sent, percent signs and all; of several with one name the
    last counts, unless the group has multi-value headers.
    """
    path, _, query = request.target.partition("?")
    parameters = [piece.partition("=")[::2] for piece in query.split("&") if piece]
    headers = [(name.lower(), value) for name, value in request.headers]
    body, is_encoded = _body_of(request)
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": spec.arn}},
        "httpMethod": request.method,
        "path": path,
        "body": body,
        "isBase64Encoded": is_encoded,
    }
    if spec.has_multi_value_headers:
        event["multiValueQueryStringParameters"] = _gathered(parameters)
        event["multiValueHeaders"] = _gathered(headers)
    else:
        event["queryStringParameters"] = dict(parameters)
        event["headers"] = dict(headers)
    return msgspec.json.encode(event)


def answer_of(payload: bytes) -> Answer:
    """Return the answer that a function's payload describes; raise for one that is malformed."""
    response = msgspec.json.decode(payload, type=Response)
    if not 100 <= response.status_code <= 599:  # noqa: PLR2004 - the codes of HTTP
        message = f"{response.status_code} is no status code"
        raise ValueError(message)
    body = (response.body or "").encode()
    if response.is_base64_encoded:
        body = base64.b64decode(body, validate=True)
    listed = [(name, _text(value)) for name, value in response.headers.items()]
    for name, values in response.multi_value_headers.items():
        listed += [(name, _text(value)) for value in values]
    headers = tuple(
        (name.lower(), value) for name, value in listed if name.lower() not in HOP_BY_HOP
    )
    return Answer(status=response.status_code, headers=headers, body=body)


def _own(status: int) -> Answer:
    text = page(status).encode()
    headers = (("content-type", "text/html"), OWN)
    return Answer(status=status, headers=headers, body=text)


def _body_of(request: Request) -> tuple[str, bool]:
    headers = {name.lower(): value for name, value in request.headers}
    kind = headers.get("content-type", "text/plain")
    if kind.startswith(TEXT_TYPES) and "content-encoding" not in headers:
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    gathered: dict[str, list[str]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return gathered


def _text(value: str | int | bool) -> str:  # noqa: FBT001 - JSON's own values
    return str(value).lower() if isinstance(value, bool) else str(value)

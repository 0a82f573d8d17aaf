"""The AWS API of one region: one address that boto3 and the `aws` command are pointed at.

Which service a request is for is told by what it was signed for, as AWS's own edge could not tell
otherwise on one address. It is separate from what answers (handlers and relays) so that the region
can be taken away as a whole: a stopped server is what clients see of a lost region.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec
from hypercorn.asyncio import serve
from hypercorn.config import Config

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Endpoint, Request, Scope
from evertill.twin.errors import PartFailed

# Objects of the transaction log are a few MiB; nobody sends more to a twin by intention.
BODY_SIZE_MAX_BYTES: Final = 64 * 1024 * 1024
DRAIN_TIMEOUT_S: Final = 1.0
STOP_TIMEOUT_S: Final = 5.0
BACKLOG_MAX: Final = 512
FORBIDDEN: Final = 403
TOO_LARGE: Final = 413
NOT_IMPLEMENTED: Final = 501

# Says whether a request may be made; raises ApiError when it may not.
Guard = Callable[[Request, Scope], Awaitable[None]]
Message = dict[str, Any]


class ApiServer:
    """Answers at `address` and `port` by the endpoints of the services, named as they are signed.

    `guard`, where one is given, is asked before each request that is signed.
    """

    def __init__(
        self,
        region: str,
        address: tuple[str, int],
        endpoints: Mapping[str, Endpoint],
        guard: Guard | None = None,
    ) -> None:
        """Prepare to answer; a signing name is such as `monitoring`, `elasticloadbalancing`."""
        self._region: Final = region
        self._address: Final = address
        self._endpoints: Final = dict(endpoints)
        self._guard: Final = guard
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._answered = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/api/aws"

    @property
    def url(self) -> str:
        """Return what `AWS_ENDPOINT_URL` is set to."""
        return f"http://{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        """Listen; connections are taken from then on."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self._address)
            listener.listen(BACKLOG_MAX)
        except OSError as error:
            listener.close()
            message = f"{self.name} cannot listen at {self.url}: {error.strerror}."
            raise PartFailed(message) from error
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.graceful_timeout = DRAIN_TIMEOUT_S
        config.loglevel = "WARNING"
        logging.getLogger("hypercorn.error").setLevel(logging.WARNING)
        self._stopping = asyncio.Event()
        trigger = self._stopping.wait
        self._serving = asyncio.create_task(
            serve(self._application, config, shutdown_trigger=trigger)  # type: ignore[arg-type]  # its typed scopes are dictionaries
        )

    async def stop(self) -> None:
        """Answer what is in hand and stop listening."""
        serving, self._serving = self._serving, None
        if serving is not None:
            self._stopping.set()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(serving, STOP_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return where it listens and how much it answered."""
        return {
            "url": self.url,
            "running": self._serving is not None and not self._serving.done(),
            "services": sorted(self._endpoints),
            "answered": self._answered,
        }

    async def answer(self, request: Request) -> Answer:
        """Answer one request, as it came over HTTP."""
        self._answered += 1
        scope = request.scope()
        if scope is None:
            error = ApiError("MissingAuthenticationToken", "The request is not signed.", FORBIDDEN)
            return refusal(request, "", error)
        endpoint = self._endpoints.get(scope.service)
        if endpoint is None:
            message = f"The twin has no {scope.service} in {self._region}."
            error = ApiError("NotImplemented", message, NOT_IMPLEMENTED)
            return refusal(request, scope.service, error)
        try:
            if self._guard is not None:
                await self._guard(request, scope)
            return await endpoint(request)
        except ApiError as error:
            return refusal(request, scope.service, error)

    async def _application(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        body = await _body(receive)
        request = _request(scope, body or b"")
        if body is None:
            error = ApiError("RequestEntityTooLarge", "The body is too large.", TOO_LARGE)
            answer = refusal(request, "", error)
        else:
            answer = await self.answer(request)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": _headers(answer)}
        )
        await send({"type": "http.response.body", "body": answer.body})


def refusal(request: Request, service: str, error: ApiError) -> Answer:
    """Return an error as a client reads it that was refused before its protocol was looked at."""
    code, text = escape(error.aws_code), escape(error.message)
    kind = "text/xml"
    if service == "s3":
        document = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    elif request.form() or service == "route53":
        inner = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        document = f"<ErrorResponse>{inner}</ErrorResponse>"
    else:
        kind = "application/json"
        document = msgspec.json.encode(
            {"__type": error.aws_code, "message": error.message}
        ).decode()
    headers = (("content-type", kind), ("x-amzn-errortype", error.aws_code))
    return Answer(status=error.status, headers=headers, body=document.encode())


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), text.encode("latin-1")) for name, text in answer.headers]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return headers


def _request(scope: Message, body: bytes) -> Request:
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1")
    return Request(
        method=scope["method"],
        target=f"{path}?{query}" if query else path,
        headers=tuple((n.decode("latin-1"), t.decode("latin-1")) for n, t in scope["headers"]),
        body=body,
    )


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    """Return the body, None when it is too large: it is read to its end, and not kept."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_SIZE_MAX_BYTES:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= BODY_SIZE_MAX_BYTES else None


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

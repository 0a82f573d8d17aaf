"""HTTP on an address of our own: requests as values in, answers as values out.

It is separate from the AWS API because each function's Runtime API is served the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hypercorn.asyncio import serve
from hypercorn.config import Config

from evertill.twin.api.messages import Answer, Endpoint, Request

# Objects of the transaction log are a few MiB; nobody sends more to a twin by intention.
BODY_SIZE_MAX_BYTES: Final = 64 * 1024 * 1024
DRAIN_TIMEOUT_S: Final = 0.5
STOP_TIMEOUT_S: Final = 5.0
BACKLOG_MAX: Final = 512

TOO_LARGE: Final = Answer(status=413)
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HttpServer:
    """Answers what comes to one address by one endpoint."""

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        """Prepare to listen at `address`; port 0 takes any free one."""
        self._endpoint: Final = endpoint
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.address = address

    @property
    def is_running(self) -> bool:
        """Tell whether it takes requests."""
        return self._serving is not None and not self._serving.done()

    def start(self) -> None:
        """Listen; connections are taken from then on. Raises OSError."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self.address)
            listener.listen(BACKLOG_MAX)
        except OSError:
            listener.close()
            raise
        self.address = listener.getsockname()
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

    async def _application(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        body = await _body(receive)
        answer = TOO_LARGE if body is None else await self._endpoint(_request(scope, body))
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": _headers(answer)}
        )
        await send({"type": "http.response.body", "body": answer.body})


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


async def _body(receive: Receive) -> bytes | None:
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


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

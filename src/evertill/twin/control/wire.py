"""HTTP for the control API: requests in, answers or streams of events out.

It is separate from what is answered. It lets in only who names this machine as the host and, to
change something, who can say that he sends JSON: a page of somebody else in the user's browser can
do neither (DNS rebinding, cross-site requests).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from hypercorn.asyncio import serve
from hypercorn.config import Config

from evertill.twin.errors import PartFailed

HOST: Final = "127.0.0.1"
PORTS_MAX: Final = 100
BACKLOG_MAX: Final = 64
BODY_SIZE_MAX_BYTES: Final = 64 * 1024
DRAIN_TIMEOUT_S: Final = 0.2
STOP_TIMEOUT_S: Final = 3.0
JSON: Final = "application/json"

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Call(msgspec.Struct, frozen=True):
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Stream(msgspec.Struct, frozen=True):
    """An answer without an end: blocks of server-sent events."""

    blocks: AsyncIterator[bytes]


Endpoint = Callable[[Call], Awaitable[Reply | Stream]]


def reply(status: int, document: object) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, msgspec.json.encode(document))


def refusal(status: int, code: str, message: str) -> Reply:
    """Return an error as all of them look."""
    return reply(status, {"code": code, "message": message})


class Wire:
    """Answers on this machine by one endpoint, at a port or the next free one."""

    def __init__(self, port: int, endpoint: Endpoint) -> None:
        """Prepare to listen; port 0 takes any free one."""
        self._port: Final = port
        self._endpoint: Final = endpoint
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.url = ""

    def start(self) -> None:
        """Listen; raise PartFailed when no port is free."""
        listener = _listener(self._port)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.graceful_timeout = DRAIN_TIMEOUT_S
        config.loglevel = "WARNING"
        logging.getLogger("hypercorn.error").setLevel(logging.WARNING)
        self._stopping = asyncio.Event()
        self._serving = asyncio.create_task(
            serve(self._application, config, shutdown_trigger=self._stopping.wait)  # type: ignore[arg-type]  # its typed scopes are dictionaries
        )

    async def stop(self) -> None:
        """End what is in hand and listen no more."""
        serving, self._serving = self._serving, None
        if serving is not None:
            self._stopping.set()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await serving

    async def _application(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            answer = await self._answer(scope, receive)
            if isinstance(answer, Stream):
                await self._stream(answer, receive, send)
            else:
                await _send(answer, send)

    async def _answer(self, scope: Message, receive: Receive) -> Reply | Stream:
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        # HTTP/2 has no Host; there its name for it comes as a header too.
        if not _is_here(headers.get("host", headers.get(":authority", ""))):
            return refusal(403, "wrong_host", "The twin answers only to a name of this machine.")
        body = await _body(receive)
        if body is None:
            return refusal(413, "too_large", f"At most {BODY_SIZE_MAX_BYTES} bytes are taken.")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != JSON:
            return refusal(415, "not_json", f"Send {JSON}.")
        path = unquote(scope["raw_path"].decode("latin-1"))
        return await self._endpoint(Call(scope["method"], path, headers, body))

    async def _stream(self, stream: Stream, receive: Receive, send: Send) -> None:
        """Send blocks until the reader or the server has gone."""
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def carry() -> None:
            async for block in stream.blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})

        ends = [
            asyncio.create_task(carry()),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _listener(port: int) -> socket.socket:
    for candidate in [port] if port == 0 else range(port, port + PORTS_MAX):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(BACKLOG_MAX)
        except OSError:
            listener.close()
        else:
            return listener
    message = f"The ports {port} to {port + PORTS_MAX - 1} are all taken."
    raise PartFailed(message)


def _is_here(host: str) -> bool:
    """Tell whether a Host header names this machine's loopback, with or without a port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    return False


async def _body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY_SIZE_MAX_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Reply, send: Send) -> None:
    headers = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        *answer.headers,
    ]
    encoded = [(name.encode(), text.encode()) for name, text in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})

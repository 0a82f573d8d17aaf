"""HTTP/1.1 between a socket and an Exchange, on httptools and uvloop.

The parser and the event loop are the ones uvicorn uses; what is left to do is small, and doing it
here buys three things: less than half of the processor time per request of the servers that were
measured (docs/decisions/0002-http-server.md), bodies and headers that are bounded in size and time
before anything is decoded, and a drain that knows every request.

One request of a connection is at work at a time, so answers keep their order; further ones that a
client sends ahead wait, and reading stops when too many do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from time import gmtime, strftime, time
from typing import Final, cast

import httptools

from evertill.domain.errors import (
    BodyTooLarge,
    EvertillError,
    MalformedRequest,
    Overloaded,
    RequestTimeout,
)
from evertill.domain.requests import BODY_SIZE_MAX
from evertill.service.exchange import Exchange, Response
from evertill.service.stages import Stage

HEADERS_SIZE_MAX: Final = 16 << 10
HEADERS_MAX: Final = 64
# What may come in of a message before its headers are complete, and of all of it: bounds on what
# the parser holds, above those on what it hands over. Chunks of one byte take six on the wire.
HEAD_SIZE_MAX: Final = 32 << 10
MESSAGE_SIZE_MAX: Final = 8 << 20
URL_LENGTH_MAX: Final = 2_048
PIPELINED_MAX: Final = 16
CONNECTIONS_MAX: Final = 2_048
RECEIVE_TIMEOUT_S: Final = 10.0
# Longer than the load balancer's idle timeout of 60 s, so that it is never we who close first.
KEEP_ALIVE_S: Final = 75.0
SWEEP_INTERVAL_S: Final = 1.0

_HEADERS_TOO_LARGE: Final = "The headers are too large."
_LENGTH_DIGITS_MAX: Final = len(str(BODY_SIZE_MAX))
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}


Reply = tuple[Exchange, int, float]
"""A request that was answered, with the answer's status and the seconds until then."""


class Server:
    """All connections of one process: how many there may be, and how they end."""

    def __init__(
        self,
        handle: Callable[[Exchange], None],
        on_reply: Callable[[Exchange, int, float], None],
        receive_timeout_s: float = RECEIVE_TIMEOUT_S,
    ) -> None:
        """Give requests to `handle`, and every answer's status and seconds to `on_reply`."""
        self.receive_timeout_s = receive_timeout_s
        # A connection has one request at work, so there are never more of them than connections.
        received = Stage(handle)
        self.receive = received.add
        self._replied = Stage[Reply](lambda reply: on_reply(*reply))
        self._loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.draining = False
        self._date = (0, "")

    def connection(self) -> Connection:
        """Make the protocol for a new connection."""
        return Connection(self)

    def note_reply(self, exchange: Exchange, response: Response) -> None:
        """Have an answer told of once everything that goes out with it is written."""
        seconds = self._loop.time() - exchange.started_s
        self._replied.add((exchange, response.status, seconds))

    def date(self) -> str:
        """Return the Date header's value (RFC 9110, section 6.6.1), made once a second."""
        now_s = int(time())
        if now_s != self._date[0]:
            self._date = (now_s, strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(now_s)))
        return self._date[1]

    async def sweep(self) -> None:
        """Cut off connections that are slow to send or have been idle too long."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.check_time(now_s)

    async def drain(self, timeout_s: float) -> None:
        """Answer what was received, close idle connections, and wait until all are gone."""
        self.draining = True
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self.connections and loop.time() < deadline_s:
            for connection in list(self.connections):
                connection.close_if_idle()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_body",
        "_busy",
        "_headers",
        "_headers_size",
        "_in_head",
        "_loop",
        "_message_size",
        "_parser",
        "_receiving_since_s",
        "_refused",
        "_server",
        "_since_s",
        "_transport",
        "_url",
        "_waiting",
        "_writable",
    )

    def __init__(self, server: Server) -> None:
        """Belong to `server`."""
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Exchange, bool]] = deque()
        self._busy = False
        self._refused = False
        self._writable = True
        self._receiving_since_s: float | None = None
        self._since_s = self._loop.time()
        self._start_message()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        if len(self._server.connections) > CONNECTIONS_MAX:
            self._refuse(Overloaded())
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection; payments already at work go on to their commit."""
        self._server.connections.discard(self)
        self._waiting.clear()
        self._refused = True

    def data_received(self, data: bytes) -> None:
        """Parse what has come in."""
        if self._refused:
            return
        message = self._headers
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # An offer that is not taken up (RFC 9110, section 7.8): its request was read whole, and
            # what is behind it is HTTP/1.1 as before, for a parser that has not seen the offer.
            self._parser = httptools.HttpRequestParser(self)
            if rest := data[offer.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserCallbackError as failure:
            cause = failure.__context__
            self._refuse(cause if isinstance(cause, EvertillError) else MalformedRequest())
        except httptools.HttpParserError:
            self._refuse(MalformedRequest("This is not an HTTP/1.1 request."))
        if self._headers is message:
            # The parser gathers a header until it ends, so one that never does is counted here.
            self._message_size += len(data)
            if self._message_size > (HEAD_SIZE_MAX if self._in_head else MESSAGE_SIZE_MAX):
                self._refuse(MalformedRequest(_HEADERS_TOO_LARGE))

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its answers."""
        self._writable = False
        self._read_if_wanted()

    def resume_writing(self) -> None:
        """Go on once it does."""
        self._writable = True
        self._read_if_wanted()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Note when the request began, which may be in the same packet as the one before it."""
        self._receiving_since_s = self._loop.time()

    def on_url(self, url: bytes) -> None:
        """Collect the request target; it may come in parts."""
        self._url += url
        if len(self._url) > URL_LENGTH_MAX:
            raise MalformedRequest("The URL is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, within bounds."""
        self._headers_size += len(name) + len(value)
        if self._headers_size > HEADERS_SIZE_MAX:
            raise MalformedRequest(_HEADERS_TOO_LARGE)
        headers, name = self._headers, name.lower()
        if name in headers and name in _SINGLE:
            raise MalformedRequest(f"The header {name.decode('ascii', 'replace')} came twice.")
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it is sent."""
        self._in_head = False
        if len(self._headers) > HEADERS_MAX:
            raise MalformedRequest(_HEADERS_TOO_LARGE)
        length = self._headers.get(b"content-length", b"0")
        if len(length) > _LENGTH_DIGITS_MAX or int(length) > BODY_SIZE_MAX:
            raise BodyTooLarge
        has_body = int(length) > 0 or b"transfer-encoding" in self._headers
        if has_body and self._parser.should_upgrade():
            # The parser takes what follows such a head for another protocol, so the body would be
            # read as the next request.
            raise MalformedRequest("A request with a body cannot offer another protocol.")
        expected = self._headers.get(b"expect")
        if expected is not None and expected.lower() == b"100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body; a chunked one states no length, so it is counted."""
        self._body += body
        if len(self._body) > BODY_SIZE_MAX:
            raise BodyTooLarge

    def on_message_complete(self) -> None:
        """Hand the request on, or let it wait for the one before it."""
        if self._refused:
            return
        parser = self._parser
        method, (path, query) = _read_method(parser.get_method()), _read_target(self._url)
        exchange = Exchange(
            method=method,
            path=path,
            query=query,
            headers=self._headers,
            body=self._body,
            started_s=self._loop.time(),
            send=self._send,
        )
        self._waiting.append((exchange, parser.should_keep_alive()))
        self._start_message()
        if len(self._waiting) > PIPELINED_MAX:
            raise MalformedRequest("Too many requests were sent ahead of their answers.")
        self._next()
        if len(self._waiting) > 1:
            self._read_if_wanted()

    # the rest

    def check_time(self, now_s: float) -> None:
        """Cut off a request that arrives too slowly and a connection that idles too long."""
        since_s = self._receiving_since_s
        if self._busy:
            return
        if self._refused or not self._writable:
            if now_s - self._since_s > self._server.receive_timeout_s:
                self.abort()
        elif since_s is not None and now_s - since_s > self._server.receive_timeout_s:
            self._refuse(RequestTimeout())
        elif now_s - self._since_s > KEEP_ALIVE_S:
            self._transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is at work or being received."""
        if not self._busy and not self._waiting and self._receiving_since_s is None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _start_message(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._headers_size = 0
        self._message_size = 0
        self._in_head = True
        self._body = b""
        self._receiving_since_s = None

    def _next(self) -> None:
        if not self._busy and self._waiting:
            self._busy = True
            self._server.receive(self._waiting[0][0])

    def _read_if_wanted(self) -> None:
        """Read unless a request waits behind another one, or answers pile up unread."""
        wanted = self._writable and len(self._waiting) <= 1
        if self._transport.is_closing() or wanted == self._transport.is_reading():
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _send(self, exchange: Exchange, response: Response) -> None:
        self._server.note_reply(exchange, response)
        if not self._waiting or self._waiting[0][0] is not exchange:
            return
        keep = self._waiting.popleft()[1] and not self._server.draining
        # After a request that could not be read, the ones before it are answered, and that is all.
        keep = keep and not (self._refused and not self._waiting)
        self._write(exchange, response, keep=keep)
        self._busy = False
        self._since_s = self._loop.time()
        if not keep and self._refused:
            # The client may still be sending. Closing now would make its system discard the answer
            # (RFC 9112, section 9.6), so only our side ends; the client's end or a sweep does the
            # rest.
            self._transport.write_eof()
        elif not keep:
            self._refused = True
            self._transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)
            self._read_if_wanted()

    def _write(self, exchange: Exchange, response: Response, *, keep: bool) -> None:
        head = (
            f"{_STATUS_LINES[response.status]}date: {self._server.date()}\r\n"
            f"content-type: {response.media_type}\r\ncontent-length: {len(response.body)}\r\n"
            f"x-request-id: {exchange.request_id}\r\n"
        )
        for name, value in response.headers:
            head += f"{name}: {value}\r\n"
        head += "\r\n" if keep else "connection: close\r\n\r\n"
        body = b"" if exchange.method == "HEAD" else response.body
        self._transport.write(head.encode() + body)

    def _refuse(self, error: EvertillError) -> None:
        """Answer a request that cannot be read whole, and close."""
        self._refused = True
        self._start_message()
        if self._busy:
            # An answer is still owed to an earlier request; this one gets none.
            return
        exchange = Exchange(
            method="",
            path="",
            query="",
            headers={},
            body=b"",
            started_s=self._loop.time(),
            send=self._send,
        )
        self._waiting.clear()
        self._waiting.append((exchange, False))
        exchange.fail(error)


@lru_cache(maxsize=16)
def _read_method(method: bytes) -> str:
    return method.decode("ascii", "replace")


# Most requests ask for one of a few addresses; what is asked for once pushes another out.
@lru_cache(maxsize=64)
def _read_target(url: bytes) -> tuple[str, str]:
    try:
        path, _, query = url.decode("ascii").partition("?")
    except UnicodeDecodeError:
        raise MalformedRequest("The URL must be ASCII.") from None
    return path, query


# Headers whose meaning would depend on which copy is read.
_SINGLE: Final = frozenset(
    {b"authorization", b"idempotency-key", b"content-length", b"content-type"}
)

"""One request and its one answer, as handlers see them, without a word about sockets.

A handler either returns a Response, or returns None and has promised to call `reply` later; the
hot path does the latter, because a task per payment would cost more than the payment's own work.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from evertill.domain import ids, problems
from evertill.domain.errors import EvertillError, MalformedRequest

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
REPLAYED = (("idempotent-replayed", "true"),)


class Response(msgspec.Struct, frozen=True):
    """An answer: status, body, media type and further headers."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Exchange:
    """A request that was received whole, and the way to answer it."""

    __slots__ = (
        "_send",
        "answered",
        "body",
        "headers",
        "method",
        "path",
        "payment_id",
        "query",
        "request_id",
        "route",
        "started_s",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query: str,
        headers: dict[bytes, bytes],
        body: bytes,
        started_s: float,
        send: Callable[[Exchange, Response], None],
    ) -> None:
        """Hold what was received; `send` is called once, with the answer."""
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.started_s = started_s
        self.request_id = ids.write_id(ids.REQUEST, ids.new_id())
        self.route = ""
        self.payment_id = b""
        self.answered = False
        self._send = send

    def header(self, name: bytes) -> str | None:
        """Return a header's value by its lower-case name; raise MalformedRequest for non-ASCII."""
        value = self.headers.get(name)
        if value is None:
            return None
        try:
            return value.decode("ascii")
        except UnicodeDecodeError:
            message = f"The header {name.decode()} must be ASCII."
            raise MalformedRequest(message, field=name.decode()) from None

    def let_go(self) -> None:
        """Forget what was received, once it is read: it need not wait in memory for its commit.

        The next request takes the same memory, which the processor still has at hand.
        """
        self.headers = {}
        self.body = b""

    def reply(self, response: Response) -> None:
        """Send the answer; a second one is ignored, as when a deadline came first."""
        if not self.answered:
            self.answered = True
            self._send(self, response)

    def fail(self, error: EvertillError) -> None:
        """Answer with an error's problem details."""
        self.reply(self.problem(error))

    def problem(self, error: EvertillError) -> Response:
        """Return the answer that tells an error."""
        body = problems.encode(error, self.request_id)
        return Response(problems.status_of(error), body, PROBLEM_JSON, problems.headers(error))

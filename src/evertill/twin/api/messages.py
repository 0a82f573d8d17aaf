"""A request and an answer of the AWS API, and what can be told from a request before it is parsed.

They are separate because relays, handlers and the server all pass them on, and only the server
knows HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

import msgspec

SCOPE: Final = re.compile(r"Credential=([^/\s,]+)/(\d{8})/([^/\s,]+)/([^/\s,]+)/aws4_request")


class Scope(msgspec.Struct, frozen=True):
    """What a request was signed for: the key's id, the region, and the service's signing name."""

    key_id: str
    region: str
    service: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request; header names are in lower case, `target` is the raw path with its query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def raw_path(self) -> str:
        """Return the path as it was sent."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """Return the path without escapes."""
        return unquote(self.raw_path)

    @property
    def query(self) -> dict[str, list[str]]:
        """Return the query's fields."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def header(self, name: str) -> str:
        """Return a header, empty when it was not sent."""
        return next((text for key, text in self.headers if key == name), "")

    def scope(self) -> Scope | None:
        """Return what it was signed for, by header or by query; None for an unsigned request."""
        signed = self.header("authorization")
        presigned = "Credential=" + self.query.get("X-Amz-Credential", [""])[0]
        found = SCOPE.search(signed) or SCOPE.search(presigned)
        return Scope(found[1], found[3], found[4]) if found else None

    def operation(self) -> str:
        """Return the operation of a JSON or query request, empty for what is told by the path."""
        target = self.header("x-amz-target").rpartition(".")[2]
        return target or self.form().get("Action", "")

    def form(self) -> dict[str, str]:
        """Return the fields of a body that is a form, empty for any other."""
        if not self.header("content-type").startswith("application/x-www-form-urlencoded"):
            return {}
        fields = parse_qs(self.body.decode(), keep_blank_values=True)
        return {name: texts[0] for name, texts in fields.items()}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Tell whether what was asked for was done."""
        return self.status < 300  # noqa: PLR2004 - the last class of HTTP's successes


# Whatever answers the requests of one service: a relay, or a handler behind its protocol.
Endpoint = Callable[[Request], Awaitable[Answer]]


def text_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return headers as pairs with names in lower case."""
    return tuple((name.lower(), text) for name, text in headers.items())

"""HTTP as bytes on a socket, for what no well-behaved client would send."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, NamedTuple, Self

TIMEOUT_S = 20.0


class WireAnswer(NamedTuple):
    """An answer as it was read off the wire; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str]:
        """The status and the code of an answer that must be a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.status == self.json()["status"]
        return self.status, self.json()["code"]


class Wire:
    """One connection to a server."""

    def __init__(self, host: str, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection((host, port), TIMEOUT_S)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        """Return the open connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a peer that has gone is no error, its answer tells."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def line(self) -> bytes:
        """Return the next line, or nothing at the end."""
        return self._reader.readline()

    def answer(self, method: str = "POST") -> WireAnswer:
        """Read one answer; one to HEAD has no body."""
        status = int(self.line().split(b" ")[1])
        headers = {}
        while (line := self.line()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        return WireAnswer(status, headers, self._reader.read(length))

    def is_closed(self) -> bool:
        """Wait for the peer to close; tell whether nothing more came before."""
        return self._reader.read() == b""


def request(
    method: str, path: str, key: str, body: bytes | None = None, *headers: tuple[str, str]
) -> bytes:
    """Write a request of the holder of `key`; with a body, its length and a header for its type."""
    lines = [f"{method} {path} HTTP/1.1", "host: test", f"authorization: Bearer {key}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

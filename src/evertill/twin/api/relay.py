"""Passing requests on, unchanged, to the emulator that answers for the services we have not.

It is separate because several endpoints do something before or after a request is passed on:
the tables that are global, the topics with e-mail subscriptions, the buckets that are copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Request

CONNECTIONS_MAX: Final = 64
TIMEOUT_S: Final = 30.0
UNAVAILABLE: Final = 503
# These belong to one connection, and to the one between us and the client.
HOP_BY_HOP: Final = {
    "connection", "content-length", "expect", "keep-alive", "te", "transfer-encoding", "upgrade",
}  # fmt: skip
# Our server writes these itself.
OWN: Final = HOP_BY_HOP | {"date", "server"}


class Relay:
    """Sends requests to `url` with a bounded number of connections."""

    def __init__(self, url: str, is_open: Callable[[], bool] = lambda: True) -> None:
        """Prepare a client; nothing is connected yet. Nothing is passed on while not `is_open`."""
        self._url: Final = url
        self._is_open: Final = is_open
        self._client: Final = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,
        )

    async def __call__(self, request: Request) -> Answer:
        """Answer with what the emulator answers."""
        if not self._is_open():
            raise ApiError("ServiceUnavailable", "The emulator is starting again.", UNAVAILABLE)
        outgoing = self._client.build_request(
            request.method,
            self._url + request.raw_path,
            headers=[(n, t) for n, t in request.headers if n not in HOP_BY_HOP],
            content=request.body,
            # The path as it was signed: a URL would be written anew.
            extensions={"target": request.target.encode("latin-1")},
        )
        try:
            incoming = await self._client.send(outgoing, stream=True)
            try:
                body = b"".join([chunk async for chunk in incoming.aiter_raw()])
            finally:
                await incoming.aclose()
        except httpx.HTTPError as error:
            message = f"The emulator does not answer: {type(error).__name__}."
            raise ApiError("ServiceUnavailable", message, UNAVAILABLE) from error
        headers = [(n.lower(), t) for n, t in incoming.headers.items() if n not in OWN]
        if request.method == "HEAD" and "content-length" in incoming.headers:
            headers.append(("content-length", incoming.headers["content-length"]))
        return Answer(status=incoming.status_code, headers=tuple(headers), body=body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

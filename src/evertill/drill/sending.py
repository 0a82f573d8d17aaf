"""One try of one request over HTTP, and what its end means for the money.

It is separate from the workload because the rule is the platform's promise to every client: an
answer says whether it was done, no answer says nothing, and the same key may always be sent again.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, NamedTuple

import httpx
import msgspec

from evertill.client.retries import UNDONE_STATUSES, UNSENT, is_retryable, retry_after_s
from evertill.client.wire import Problem
from evertill.drill.doors import Place
from evertill.drill.history import FAILED, OK, UNKNOWN, Outcome, Request

CONNECT_TIMEOUT_S: Final = 2.0
CONNECTIONS_MAX: Final = 200

_problem: Final = msgspec.json.Decoder(Problem, strict=False)


class Answer(NamedTuple):
    """How a try ended; `is_final` when the same request need not be sent again."""

    outcome: Outcome
    status: int
    code: str
    body: str
    is_replayed: bool
    is_final: bool
    pause_s: float


class Sender:
    """Connections to the platform as one merchant."""

    def __init__(self, key: str, context: ssl.SSLContext, timeout_s: float) -> None:
        """Send with the API key `key`, and wait `timeout_s` for each answer."""
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            verify=context,
            # A proxy that the environment names cannot reach these addresses.
            trust_env=False,
        )

    async def send(self, place: Place, request: Request) -> Answer:
        """Send once and tell how it ended; it never raises for what a network does."""
        try:
            # Over all, since an answer that trickles in would never be late piece by piece.
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.post(
                    place.url + request.path,
                    content=request.body.encode(),
                    headers={"host": place.host, "idempotency-key": request.key},
                    extensions={"sni_hostname": place.host},
                )
        except UNSENT as failure:
            return _silence(FAILED, failure)
        except (httpx.HTTPError, TimeoutError) as failure:
            return _silence(UNKNOWN, failure)
        return _read(response)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def _silence(outcome: Outcome, failure: Exception) -> Answer:
    return Answer(outcome, 0, type(failure).__name__, "", False, False, 0)


def _read(response: httpx.Response) -> Answer:
    status, body = response.status_code, response.text
    is_replayed = response.headers.get("idempotent-replayed") == "true"
    if response.is_success:
        return Answer(OK, status, "", body, is_replayed, is_final=True, pause_s=0)
    try:
        code = _problem.decode(response.content).code
    except msgspec.MsgspecError:
        # A load balancer's page, say.
        code = ""
    again = is_retryable(status, code)
    is_undone = status in UNDONE_STATUSES or not again
    outcome: Outcome = FAILED if is_undone else UNKNOWN
    return Answer(outcome, status, code, "", is_replayed, not again, retry_after_s(response))

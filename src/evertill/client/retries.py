"""When to send a request again, and how long to wait before.

It is separate from the HTTP calls because the rule is one for all of them: a request that moves
money may be repeated only under its own idempotency key, and only after an answer that leaves its
outcome open or says that nothing was done.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Final, NoReturn

import httpx
import msgspec

from evertill.client.faults import Refused, ServiceUnreachable, Stopped
from evertill.client.wire import Problem
from evertill.domain.errors import KeyInFlight, OutcomeUnknown

BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0
BACKOFF_DOUBLINGS_MAX: Final = 10
# An address where nothing ever answered is more likely mistyped than restarting.
UNREACHED_MAX_S: Final = 3.0
NO_ANSWER: Final = "The service did not answer."

# 429 and 503 say that nothing was done; the others leave it open what was.
UNDONE_STATUSES: Final = frozenset({429, 503})
OPEN_STATUSES: Final = frozenset({408, 500, 502, 504})

# These arise before a single byte of the request was sent.
UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Patience(msgspec.Struct, frozen=True):
    """How often, and for how many seconds altogether, one request is tried."""

    attempts_max: int
    total_s: float


INTERACTIVE: Final = Patience(attempts_max=8, total_s=30.0)
# A failover to the other region takes minutes, and an import should outlive it.
UNATTENDED: Final = Patience(attempts_max=100, total_s=300.0)


def is_retryable(status: int, code: str) -> bool:
    """Tell whether an answer invites the same request again, under the same key."""
    return status in UNDONE_STATUSES | OPEN_STATUSES or code == KeyInFlight.code


def retry_after_s(response: httpx.Response) -> float:
    """Return the seconds that `Retry-After` asks for; 0 without one, or when it is a date."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


class Tries:
    """The tries of one request: counts them, pauses between them, and ends them in time.

    `stop` interrupts a pause. `reached` says whether the service has ever answered.
    """

    def __init__(self, url: str, patience: Patience, stop: threading.Event) -> None:
        """Start counting now."""
        self._url = url
        self._patience = patience
        self._stop = stop
        self._began_s = time.monotonic()
        self._tried = 0
        self._is_open = False
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing.

    def after_no_answer(self, error: httpx.TransportError, *, reached: bool) -> None:
        """Pause after a request that got no answer.

        Raise ServiceUnreachable when nothing ever answered there, and OutcomeUnknown when the
        patience is spent after a request that may have arrived.
        """
        self._is_open |= not isinstance(error, UNSENT)
        waited_s = time.monotonic() - self._began_s
        problem = Problem(detail=NO_ANSWER)
        if not reached and not self._is_open and waited_s > UNREACHED_MAX_S:
            self._give_up(problem)
        self._pause(0, problem)

    def after_answer(self, status: int, problem: Problem, pause_s: float = 0) -> None:
        """Pause, at least `pause_s`, after an answer that invites another try.

        When the patience is spent raise OutcomeUnknown, or Refused when certainly nothing was done.
        """
        self._is_open |= status not in UNDONE_STATUSES
        self._pause(pause_s, problem)

    def _pause(self, asked_s: float, problem: Problem) -> None:
        backoff_s = BACKOFF_FIRST_S * 2 ** min(self._tried, BACKOFF_DOUBLINGS_MAX)
        # The jitter keeps clients that failed together from coming back together.
        pause_s = asked_s + self._random.uniform(0, min(BACKOFF_MAX_S, backoff_s))
        self._tried += 1
        if self._is_spent(pause_s):
            self._give_up(problem)
        if self._stop.wait(pause_s):
            raise Stopped

    def _is_spent(self, pause_s: float) -> bool:
        ends_s = time.monotonic() + pause_s - self._began_s
        return self._tried >= self._patience.attempts_max or ends_s > self._patience.total_s

    def _give_up(self, problem: Problem) -> NoReturn:
        if self._is_open:
            message = (
                f"The outcome is unknown: {self._url} gave no final answer in time. Retry with "
                "the same idempotency key to learn it; nothing is taken twice."
            )
            raise OutcomeUnknown(message)
        if problem.detail == NO_ANSWER:
            message = (
                f"No service answers at {self._url}. Start one with `make up`, or name another "
                "with --url."
            )
            raise ServiceUnreachable(message, url=self._url)
        raise Refused(problem.detail, status=problem.status, problem_code=problem.code)

"""Webhooks by the Standard Webhooks specification: when to try again, and how a message is signed.

It is pure, and separate from sending, so that the schedule and the signature can be read beside
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with is none
# The specification asks for 24 to 64.
SECRET_LENGTH_BYTES: Final = 32
# The specification's schedule: how long to wait after each failed attempt.
SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER_SHARE: Final = 0.2
# A receiver may ask for patience, but not for ever.
RETRY_AFTER_MAX: Final = timedelta(hours=24)
GONE: Final = 410
THROTTLED: Final = frozenset({429, 502, 503, 504})


class Delivery(NamedTuple):
    """An event to tell an endpoint of; `attempts` counts this one."""

    endpoint_id: bytes
    event_id: bytes
    url: str
    secrets: list[str]
    attempts: int
    type: str
    created_at: datetime
    answer: str


class Result(NamedTuple):
    """How an attempt went: an error or none, and what follows from it.

    Without `later`, an error is final: a dead letter. `pause` leaves the whole endpoint alone.
    """

    error: str | None = None
    later: timedelta | None = None
    pause: timedelta | None = None
    disable: str | None = None

    def sooner(self, speed: float) -> Result:
        """Return the same where time goes `speed` times as fast."""
        return self._replace(
            later=None if self.later is None else self.later / speed,
            pause=None if self.pause is None else self.pause / speed,
        )


class Deliveries(Protocol):
    """The deliveries that are to be made. Every method raises OutboxUnavailable."""

    async def fan_out(self) -> bool:
        """Make deliveries of what is in the outbox; tell whether there may be more of it."""

    async def claim(self, busy: Sequence[bytes], each: int, most: int) -> list[Delivery]:
        """Take deliveries that are due, up to `each` of an endpoint that is not busy."""

    async def finish(self, delivery: Delivery, result: Result) -> None:
        """Note how an attempt went."""

    async def close(self) -> None:
        """Close the connection."""


def new_secret() -> str:
    """Return a new signing secret."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_LENGTH_BYTES)).decode()


def sign(signing: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in signing]
    digests = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def message(delivery: Delivery) -> bytes:
    """Return a delivery's body: the type, the time and the resource as it then was."""
    at = delivery.created_at.isoformat().replace("+00:00", "Z")
    text = f'{{"type":"{delivery.type}","timestamp":"{at}","data":{delivery.answer}}}'
    return text.encode()


def failed(attempts: int, error: str, chance: float, retry_after: timedelta | None) -> Result:
    """Return what follows from a failed attempt; `chance` from 0 to 1 spreads the retries."""
    if attempts > len(SCHEDULE):
        return Result(error)
    spread = 1 + JITTER_SHARE * (2 * chance - 1)
    later = SCHEDULE[attempts - 1] * spread
    if retry_after is not None:
        retry_after = min(max(retry_after, timedelta()), RETRY_AFTER_MAX)
        later = max(later, retry_after)
    return Result(error, later, retry_after)


def answered(
    attempts: int, status: int, chance: float, retry_after: timedelta | None = None
) -> Result:
    """Return what follows from an answer, by the specification's handling of statuses."""
    if 200 <= status <= 299:  # noqa: PLR2004 - success, as HTTP has it
        return Result()
    error = f"it answered {status}"
    if status == GONE:
        return Result(error, disable="gone")
    if status in THROTTLED:
        return failed(attempts, error, chance, retry_after or SCHEDULE[0])
    return failed(attempts, error, chance, retry_after)

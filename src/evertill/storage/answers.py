"""What was answered to a key before, and what a repeat of the key gets.

The hot path and the moves of single payments both replay, so the rule stands here once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from evertill.domain import ids
from evertill.domain.errors import EvertillError, KeyExpired, KeyReused
from evertill.domain.idempotency import ANSWER_KEPT
from evertill.storage.submissions import Answer

_SIGNED_64: Final = struct.Struct(">q")


class StoredAnswer(NamedTuple):
    """What is stored under an idempotency key."""

    body_digest: bytes
    payment_id: bytes
    event_id: bytes
    created_at: datetime
    answer: str


class Request(Protocol):
    """What is compared with a stored answer."""

    @property
    def body_digest(self) -> bytes:
        """The digest of what is asked now."""

    @property
    def event_id(self) -> bytes:
        """The id that this very request gives to its event, kept over its retries."""


def lock_number(key_digest: bytes) -> int:
    """Return the number under which a key is locked: the first 64 bits of its digest."""
    number: int = _SIGNED_64.unpack_from(key_digest)[0]
    return number


def read_answers(rows: Iterable[Sequence[Any]]) -> dict[bytes, StoredAnswer]:
    """Read the rows of find_answers, by key digest."""
    return {
        row[0].bytes: StoredAnswer(row[1].bytes, row[2].bytes, row[3].bytes, row[4], row[5])
        for row in rows
    }


def replay(request: Request, stored: StoredAnswer, at: datetime) -> Answer | EvertillError:
    """Answer a key that was used before: the same bytes, or why not."""
    if stored.event_id == request.event_id:
        # An earlier try of this very request, whose commit was in doubt, has committed.
        return Answer(stored.answer.encode(), replayed=False)
    if at - stored.created_at > ANSWER_KEPT:
        return KeyExpired(payment_id=ids.write_id(ids.PAYMENT, stored.payment_id))
    if stored.body_digest != request.body_digest:
        return KeyReused()
    return Answer(stored.answer.encode(), replayed=True)

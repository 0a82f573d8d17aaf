"""What the journal asks of the outbox, and what it gets: the words that two rooms share.

It is separate because the journal delivers and knows no SQL, while storage has the SQL and knows no
receiver; neither imports the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

import msgspec

from evertill.domain.errors import EvertillError


class Receiver(IntEnum):
    """Who is handed every event; the number is its bit in the outbox."""

    LOG = 1
    WEBHOOKS = 2
    TOPIC = 4


class OutboxUnavailable(EvertillError):
    """The outbox cannot be reached at the moment, or takes no writes here."""

    code = "outbox_unavailable"


class OutboxEvent(NamedTuple):
    """One event to deliver; `answer` is the resource as it then was, as JSON."""

    merchant_id: int
    event_id: bytes
    payment_id: bytes
    type: str
    created_at: datetime
    answer: str


class Head(msgspec.Struct, frozen=True):
    """An object of the log: its chain, its place in it, and the hash of its last record."""

    region: str
    chain: str
    sequence: int
    hash: str


class Term(NamedTuple):
    """The right to hand the outbox to a receiver, under an id that is used once.

    `head` is where the log stood when it began; None when there is none yet.
    """

    term_id: bytes
    head: Head | None


class Claim(NamedTuple):
    """What a holder of the outbox may deliver now; `at` is the database's time."""

    at: datetime
    batch_ids: list[int]


class Outbox(Protocol):
    """One connection to the outbox, for one receiver and one term.

    Every method raises OutboxUnavailable; the term is over then, and the outbox is to be closed.
    """

    async def begin(self) -> Term | None:
        """Begin a term; None while another process holds the outbox."""

    async def claim(self, most: int) -> Claim | None:
        """Go on with the term; None when it has become another's, for good."""

    async def read(self, batch_ids: Sequence[int]) -> list[OutboxEvent]:
        """Return the events of claimed batches, in order."""

    async def settle(self, batch_ids: Sequence[int], head: Head | None) -> bool:
        """Note that batches were delivered; False when the term has become another's."""

    async def close(self) -> None:
        """End the term, so that another can begin at once."""

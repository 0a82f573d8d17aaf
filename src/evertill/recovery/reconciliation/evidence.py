"""What was found in the volumes and the log, as plain values: sorting needs no database.

Ids are 16 raw bytes here and written with their prefix where people read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from evertill.domain.payments import Payment, Refund, StoredPayment

CREATED: Final = frozenset({"payment.authorized", "payment.captured", "payment.declined"})
REFUNDED: Final = "payment.refunded"


class Event(NamedTuple):
    """An event as it is stored, with the key that asked for it and the answer that was given."""

    event_id: bytes
    merchant_id: int
    payment_id: bytes
    type: str
    key_digest: bytes | None
    body_digest: bytes | None
    created_at: datetime
    answer: str
    transaction_id: int

    def payment(self) -> Payment:
        """Return the answer of every event but a refund."""
        return msgspec.json.decode(self.answer, type=Payment)

    def refund(self) -> Refund:
        """Return the answer of a refund."""
        return msgspec.json.decode(self.answer, type=Refund)


class Kept(NamedTuple):
    """A payment's row, and its source's number, which rows of other payments share."""

    payment: StoredPayment
    source_key: int


class Told(NamedTuple):
    """Who had learned of an event that was lost."""

    log: bool
    webhooks: bool
    topic: bool

    def names(self) -> list[str]:
        """Return the receivers' names."""
        named = {"log": self.log, "webhooks": self.webhooks, "topic": self.topic}
        return [name for name, was_told in named.items() if was_told]


class Position(NamedTuple):
    """What a database says of itself: its epoch, and where its log stands."""

    epoch: int
    region: str
    is_standby: bool
    log_chain: str
    log_sequence: int


class Counts(NamedTuple):
    """How much there is in both, in the old volume alone, and in the new primary alone."""

    same: int
    only_old: int
    only_new: int


class Phantom(NamedTuple):
    """An event that somebody has and no database knows: where it was seen, and what it said."""

    event_id: str
    seen: str
    type: str
    merchant_id: int
    payment_id: str
    created_at: datetime | None


class Setting(NamedTuple):
    """A merchant, a key or an endpoint that is not the same in both."""

    kind: str
    identity: str
    name: str
    old: bool
    new: bool


class Books(NamedTuple):
    """All that is needed to sort the differences.

    `lost` are the events of the old volume that the new primary does not have, in their order.
    `known` are the new primary's events of the same payments, and of payments that took their
    place under a key; those in `after` were recorded since the two parted.
    """

    old: Position
    new: Position
    parted_at: datetime | None
    last_common: int
    events: Counts
    payments: Counts
    lost: Sequence[Event]
    altered: Sequence[bytes]
    old_payments: Mapping[bytes, Kept]
    new_payments: Mapping[bytes, Kept]
    known: Mapping[bytes, Sequence[Event]]
    after: frozenset[bytes]
    keys: Mapping[bytes, Event]
    same_purchases: Mapping[bytes, Sequence[bytes]]
    told: Mapping[bytes, Told]
    rows: Sequence[bytes]
    ledgers: Sequence[bytes]
    settlements: Sequence[bytes]
    settings: Sequence[Setting]
    merchants: frozenset[int]
    phantoms: Sequence[Phantom]

"""The few shapes that travel between this client and a service.

They are defined here and not imported from the service: a client is installed, and upgraded, apart
from the service it talks to, so it sends what it knows and reads no more than it needs. A test
holds the two sides together.
"""

from __future__ import annotations

from typing import Final

import msgspec

BATCH_ITEMS_MAX: Final = 1_000
BODY_MAX_BYTES: Final = 1024 * 1024
SOURCE_LENGTH_MAX: Final = 64
REFERENCE_LENGTH_MAX: Final = 64
DESCRIPTION_LENGTH_MAX: Final = 255

CREATED: Final = 201


class NewPayment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment to take; `amount` is in minor units."""

    amount: int
    currency: str
    source: str
    capture: bool = True
    reference: str | None = None
    description: str | None = None


class BatchItem(NewPayment, frozen=True, kw_only=True):
    """A payment of a batch, with the idempotency key that makes it safe to send again."""

    idempotency_key: str


class DeclineReason(msgspec.Struct, frozen=True):
    """Why a payment was declined."""

    code: str
    message: str


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the service answers it; `amount` is in minor units."""

    id: str
    status: str
    amount: int
    currency: str
    decline: DeclineReason | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, as RFC 9457 has it."""

    status: int = 0
    code: str = ""
    detail: str = ""
    field: str | None = None


class ResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of one result of a batch: a payment's fields, or a problem's.

    It is one struct because JSON tells the two apart only by the status beside it.
    """

    status: str | int = 0
    amount: int = 0
    currency: str = ""
    decline: DeclineReason | None = None
    code: str = ""
    detail: str = ""
    field: str | None = None


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one payment of a batch."""

    status: int
    replayed: bool
    body: ResultBody


class BatchResults(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each payment of a batch, in its order."""

    results: list[BatchResult]

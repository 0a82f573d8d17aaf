"""What only the service's bodies need beside `domain.requests`: batches, and payments' texts."""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.domain.errors import MalformedRequest
from evertill.domain.requests import TWICE, NewValidation, check_texts, decode
from evertill.service.models import NewPayment


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    """A batch whose payments are still text."""

    payments: list[msgspec.Raw]


_batch_decoder: Final = msgspec.json.Decoder(_Batch)


def read_batch(body: bytes) -> list[msgspec.Raw]:
    """Return the payments of a batch, each still text, so that a bad one is only its own problem.

    Raise what `read_body` raises for what is around them.
    """
    payments = decode(_batch_decoder, body).payments
    # Items are kept as they came, so only the one colon after `payments` stands outside of them.
    if body.count(b":") != 1 + sum([bytes(raw).count(b":") for raw in payments]):
        raise MalformedRequest(TWICE)
    return payments


def check_payment(request: NewPayment | NewValidation) -> None:
    """Raise InvalidRequest, UnknownCurrency or CardNumberRefused for text that may not be in it."""
    description = request.description if isinstance(request, NewPayment) else None
    check_texts(request.currency, request.source, request.reference, description)

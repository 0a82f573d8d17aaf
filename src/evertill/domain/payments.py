"""What a payment, a refund and a balance look like to those who ask for them.

These are the public resources: their field names and order are the API's. Amounts are integers of
minor units; times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from json.encoder import encode_basestring as _quote
from typing import NamedTuple

import msgspec

from evertill.domain import ids
from evertill.domain.money import exponent
from evertill.domain.rules import DECLINES_BY_CODE, Attempt
from evertill.domain.states import State


class DeclineReason(msgspec.Struct, frozen=True):
    """Why a payment was declined."""

    code: str
    message: str


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it stands."""

    id: str
    status: State
    amount: int
    currency: str
    exponent: int
    amount_captured: int
    amount_refunded: int
    fee: int
    source: str
    reference: str | None
    description: str | None
    decline: DeclineReason | None
    created_at: datetime
    expires_at: datetime | None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of a captured payment, whole or in part."""

    id: str
    payment_id: str
    payment_status: State
    amount: int
    currency: str
    exponent: int
    reference: str | None
    created_at: datetime


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant has in one currency: each account's balance, credit minus debit."""

    currency: str
    exponent: int
    acquirer_receivable: int
    authorization_holds: int
    merchant_pending: int
    merchant_available: int
    fees: int
    refunds_payable: int


class StoredPayment(NamedTuple):
    """A payment as it is stored; fields and their order are those of the queries."""

    merchant_id: int
    payment_id: bytes
    status: State
    currency: str
    exponent: int
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    fee_minor: int
    source: str
    reference: str | None
    description: str | None
    decline_code: str | None
    created_at: datetime
    captured_at: datetime | None
    expires_at: datetime | None

    def resource(self) -> Payment:
        """Return the payment as the API shows it."""
        return Payment(
            id=ids.write_id(ids.PAYMENT, self.payment_id),
            status=self.status,
            amount=self.amount_minor,
            currency=self.currency,
            exponent=self.exponent,
            amount_captured=self.captured_minor,
            amount_refunded=self.refunded_minor,
            fee=self.fee_minor,
            source=self.source,
            reference=self.reference,
            description=self.description,
            decline=decline_reason(self.decline_code),
            created_at=self.created_at,
            expires_at=self.expires_at,
        )


def write_captured(
    payment_id: bytes, attempt: Attempt, description: str | None, fee: int, created_at: str
) -> bytes:
    """Return the JSON of a payment that was captured in full at `created_at`, itself JSON.

    Nearly every answer is one, and to fill a form takes a third of the time of encoding a Payment.
    """
    reference = attempt.reference
    return (
        f'{{"id":"{ids.PAYMENT}{payment_id.hex()}","status":"captured",'
        f'"amount":{attempt.amount_minor},"currency":"{attempt.currency}",'
        f'"exponent":{exponent(attempt.currency)},"amount_captured":{attempt.amount_minor},'
        f'"amount_refunded":0,"fee":{fee},"source":{_quote(attempt.source)},'
        f'"reference":{"null" if reference is None else _quote(reference)},'
        f'"description":{"null" if description is None else _quote(description)},'
        f'"decline":null,"created_at":{created_at},"expires_at":null}}'
    ).encode()


def decline_reason(code: str | None) -> DeclineReason | None:
    """Return the reason behind a stored decline code, or None for a payment not declined."""
    if code is None:
        return None
    return DeclineReason(code, DECLINES_BY_CODE[code].message)

"""Double entry: what each move of a payment posts, and how fees are computed.

A transfer names the account it debits and the account it credits, and an optional part of the
amount that goes to the fees account instead. Such a row cannot be unbalanced: what leaves the
debit account arrives, whole, in the other two. All accounts of a row belong to one merchant and one
currency, because the row has only one of each.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class Account(IntEnum):
    """The accounts that every merchant has in every currency; the numbers are stored."""

    ACQUIRER_RECEIVABLE = 1
    AUTHORIZATION_HOLDS = 2
    MERCHANT_PENDING = 3
    MERCHANT_AVAILABLE = 4
    FEES = 5
    REFUNDS_PAYABLE = 6


class TransferKind(IntEnum):
    """Why a transfer was posted; the numbers are stored."""

    AUTHORIZE = 1
    CAPTURE = 2
    RELEASE = 3
    REFUND = 4
    SETTLE = 5
    ADJUST = 6


class Transfer(msgspec.Struct, frozen=True):
    """`amount_minor` leaves `debit`; `fee_minor` of it goes to fees, the rest to `credit`."""

    kind: TransferKind
    debit: Account
    credit: Account
    amount_minor: int
    fee_minor: int = 0


BASIS_POINTS: Final = 10_000

# What nearly every payment posts, looked up once: in Python 3.11 a member of an enumeration is
# found by a call.
_AUTHORIZE: Final = TransferKind.AUTHORIZE
_CAPTURE: Final = TransferKind.CAPTURE
_RECEIVABLE: Final = Account.ACQUIRER_RECEIVABLE
_HOLDS: Final = Account.AUTHORIZATION_HOLDS
_PENDING: Final = Account.MERCHANT_PENDING


def fee_minor(amount_minor: int, basis_points: int, fixed_minor: int) -> int:
    """Return the fee on a capture: basis points, rounded half-even, plus a fixed part.

    It never exceeds the amount captured, so that a capture never costs the merchant money.
    """
    whole, rest = divmod(amount_minor * basis_points, BASIS_POINTS)
    half = BASIS_POINTS // 2
    rounded = whole + (rest > half or (rest == half and whole % 2 == 1))
    return min(rounded + fixed_minor, amount_minor)


def authorize(amount_minor: int) -> Transfer:
    """Hold the amount for a later capture."""
    return Transfer(_AUTHORIZE, _RECEIVABLE, _HOLDS, amount_minor)


def sale(amount_minor: int, fee: int) -> Transfer:
    """Authorize and capture at once: no hold is left between the two."""
    return Transfer(_CAPTURE, _RECEIVABLE, _PENDING, amount_minor, fee)


def capture(authorized_minor: int, captured_minor: int, fee: int) -> list[Transfer]:
    """Capture from the hold and release the rest of it; a capture is final."""
    taken = Transfer(_CAPTURE, _HOLDS, _PENDING, captured_minor, fee)
    rest = authorized_minor - captured_minor
    return [taken, release(rest)] if rest else [taken]


def release(held_minor: int) -> Transfer:
    """Give a hold back, because the payment was canceled, has expired or was captured in part."""
    return Transfer(TransferKind.RELEASE, _HOLDS, _RECEIVABLE, held_minor)


def refund(amount_minor: int, *, settled: bool) -> Transfer:
    """Owe the amount to the payer, out of where the merchant's funds for the payment are now."""
    source = Account.MERCHANT_AVAILABLE if settled else Account.MERCHANT_PENDING
    return Transfer(TransferKind.REFUND, source, Account.REFUNDS_PAYABLE, amount_minor)

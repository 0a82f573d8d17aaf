"""Moves of a payment that exists: capture, cancel, expire, refund.

Each takes the payment as it is stored, under its lock, and returns what it becomes together with
the transfers to post, or raises why it may not. Time is the database's, read under the lock, so a
capture and an expiry never both win.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from evertill.domain import ledger
from evertill.domain.errors import AmountTooLarge
from evertill.domain.payments import StoredPayment
from evertill.domain.rules import Merchant
from evertill.domain.states import State, check_move


class Move(NamedTuple):
    """A payment after a move, the transfers that go with it, and what it is called as an event."""

    payment: StoredPayment
    transfers: list[ledger.Transfer]
    event_type: str
    refund_minor: int = 0


def capture(
    payment: StoredPayment, amount_minor: int | None, merchant: Merchant, at: datetime
) -> Move:
    """Capture `amount_minor` (all of it when None) and release the rest of the hold.

    Raise IllegalTransition unless the payment is authorized and `at` is before its expiry, and
    AmountTooLarge beyond what was authorized.
    """
    check_move(_state_at(payment, at), State.CAPTURED)
    captured = payment.amount_minor if amount_minor is None else amount_minor
    _check_amount(captured, payment.amount_minor, "authorized")
    fixed = merchant.limits(payment.currency).fee_fixed_minor
    fee = ledger.fee_minor(captured, merchant.terms.fee_basis_points, fixed)
    after = payment._replace(
        status=State.CAPTURED, captured_minor=captured, fee_minor=fee, captured_at=at
    )
    return Move(after, ledger.capture(payment.amount_minor, captured, fee), "payment.captured")


def cancel(payment: StoredPayment, at: datetime) -> Move:
    """Release an authorization that will not be captured; raise IllegalTransition otherwise."""
    check_move(_state_at(payment, at), State.CANCELED)
    return _release(payment, State.CANCELED)


def expire(payment: StoredPayment) -> Move:
    """Release an authorization whose time is over."""
    check_move(payment.status, State.EXPIRED)
    return _release(payment, State.EXPIRED)


def refund(payment: StoredPayment, amount_minor: int | None, *, settled: bool) -> Move:
    """Refund `amount_minor` (all that is left when None) of a captured payment.

    Raise IllegalTransition when nothing was captured or all is refunded, and AmountTooLarge beyond
    what is left.
    """
    left = payment.captured_minor - payment.refunded_minor
    amount = left if amount_minor is None else amount_minor
    target = State.REFUNDED if amount >= left else State.PARTIALLY_REFUNDED
    check_move(payment.status, target)
    _check_amount(amount, left, "left to refund")
    after = payment._replace(status=target, refunded_minor=payment.refunded_minor + amount)
    transfer = ledger.refund(amount, settled=settled)
    return Move(after, [transfer], "payment.refunded", refund_minor=amount)


def _state_at(payment: StoredPayment, at: datetime) -> State:
    """Return the state, counting as expired what the expiry job has not come to yet."""
    if payment.status is State.AUTHORIZED and payment.expires_at and at >= payment.expires_at:
        return State.EXPIRED
    return payment.status


def _release(payment: StoredPayment, status: State) -> Move:
    after = payment._replace(status=status)
    return Move(after, [ledger.release(payment.amount_minor)], f"payment.{status}")


def _check_amount(amount_minor: int, most_minor: int, what: str) -> None:
    if amount_minor > most_minor:
        message = f"The amount {amount_minor} is more than the {most_minor} {what}."
        raise AmountTooLarge(message, field="amount")

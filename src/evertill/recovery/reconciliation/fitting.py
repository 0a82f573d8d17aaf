"""Whether a lost event still fits onto a payment of the new primary, and what it posts.

Pure, and the same code for the proposal and for doing it: a payment that has moved on in between is
found out by asking again. What was answered then is kept byte for byte; the state, the amounts and
the entries are those that the event leads to now.
"""

from __future__ import annotations

from typing import NamedTuple

from evertill.domain import ids, ledger
from evertill.domain.errors import EvertillError, IllegalTransition
from evertill.domain.payments import Payment, StoredPayment
from evertill.domain.states import State, check_move
from evertill.recovery.reconciliation.evidence import CREATED, REFUNDED, Event


class Misfit(EvertillError):
    """An event does not fit onto the payment as it is."""

    code = "misfit"


class Step(NamedTuple):
    """A payment behind an event that is recorded again."""

    event: Event
    payment: StoredPayment
    is_new: bool
    refund_id: bytes | None = None
    refund_minor: int = 0

    def transfers(self, *, settled: bool) -> list[ledger.Transfer]:
        """Return what it posts; a refund comes out of where the merchant's money is now."""
        payment = self.payment
        if self.refund_id is not None:
            return [ledger.refund(self.refund_minor, settled=settled)]
        if payment.status is State.DECLINED:
            return []
        if not self.is_new and payment.status is State.CAPTURED:
            return ledger.capture(payment.amount_minor, payment.captured_minor, payment.fee_minor)
        if not self.is_new:
            return [ledger.release(payment.amount_minor)]
        if payment.status is State.CAPTURED:
            return [ledger.sale(payment.amount_minor, payment.fee_minor)]
        return [ledger.authorize(payment.amount_minor)]


def fit(payment: StoredPayment | None, event: Event) -> Step:
    """Return the step that an event is for a payment as it stands; raise Misfit."""
    if payment is None:
        return _create(event)
    if event.type == REFUNDED:
        return _refund(payment, event)
    answer = event.payment()
    _check(payment, answer.status, event)
    captured = answer.status is State.CAPTURED
    after = payment._replace(
        status=answer.status,
        captured_minor=answer.amount_captured if captured else 0,
        fee_minor=answer.fee if captured else 0,
    )
    return Step(event, after, is_new=False)


def _create(event: Event) -> Step:
    answer = event.payment()
    if event.type not in CREATED or event.type != f"payment.{answer.status}":
        message = f"{answer.id} is not there, and {event.type} does not create it"
        raise Misfit(message)
    return Step(event, _stored(event, answer), is_new=True)


def _refund(payment: StoredPayment, event: Event) -> Step:
    answer = event.refund()
    left = payment.captured_minor - payment.refunded_minor
    target = State.REFUNDED if answer.amount >= left else State.PARTIALLY_REFUNDED
    _check(payment, target, event)
    if answer.amount > left:
        message = f"a refund of {answer.amount} is more than the {left} that are left"
        raise Misfit(message)
    after = payment._replace(status=target, refunded_minor=payment.refunded_minor + answer.amount)
    refund_id = ids.read_id(ids.REFUND, answer.id)
    return Step(event, after, is_new=False, refund_id=refund_id, refund_minor=answer.amount)


def _check(payment: StoredPayment, target: State, event: Event) -> None:
    try:
        check_move(payment.status, target)
    except IllegalTransition:
        message = f"{event.type} cannot follow: the payment is {payment.status} in the new primary"
        raise Misfit(message) from None


def _stored(event: Event, answer: Payment) -> StoredPayment:
    return StoredPayment(
        merchant_id=event.merchant_id,
        payment_id=event.payment_id,
        status=answer.status,
        currency=answer.currency,
        exponent=answer.exponent,
        amount_minor=answer.amount,
        captured_minor=answer.amount_captured,
        refunded_minor=0,
        fee_minor=answer.fee,
        source=answer.source,
        reference=answer.reference,
        description=answer.description,
        decline_code=answer.decline.code if answer.decline else None,
        created_at=answer.created_at,
        captured_at=None,
        expires_at=answer.expires_at,
    )

"""One payment to which something happened in the old volume that the new primary does not know.

Its lost events are matched first with what the new primary recorded: under the same idempotency key
(a client that asked again), or by the same clock (an expiry). What is left either fits onto the
payment as it is now, and can be recorded again, or it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from evertill.domain import ids, ledger
from evertill.domain.ledger import Account, Transfer, TransferKind
from evertill.domain.payments import StoredPayment
from evertill.domain.states import State
from evertill.recovery.reconciliation.differences import (
    HUMAN,
    Choice,
    Difference,
    LostEvent,
    Posting,
    Sort,
)
from evertill.recovery.reconciliation.evidence import CREATED, REFUNDED, Books, Event
from evertill.recovery.reconciliation.fitting import Misfit, fit

EXPIRED = "payment.expired"


class _Matched(NamedTuple):
    """Lost events that have a counterpart, those without one, and what differs between answers."""

    notes: dict[bytes, str]
    left: list[Event]
    contradictions: list[str]


class _Verdict(NamedTuple):
    sort: Sort
    proposal: str
    choices: list[Choice]
    reasons: list[str]


def sort_payment(books: Books, payment_id: bytes, lost: Sequence[Event]) -> Difference:
    """Return the difference that a payment's lost events make."""
    old = books.old_payments[payment_id].payment
    standing = stands(books, payment_id, lost)
    matched = _match(books, lost)
    adjustments = _adjustments(old, standing, matched)
    verdict = _judge(books, payment_id, lost, matched, adjustments)
    postings = [Posting.of(transfer) for transfer in adjustments]
    subject = ids.write_id(ids.PAYMENT, payment_id)
    return Difference(
        sort=verdict.sort,
        kind="payment",
        subject=subject,
        merchant_id=old.merchant_id,
        amount=old.amount_minor,
        currency=old.currency,
        old=_words(old),
        new=_words(standing),
        events=[_lost(books, event, matched) for event in lost],
        reasons=verdict.reasons,
        proposal=verdict.proposal,
        choices=verdict.choices,
        adjustments=postings if Choice.COMPENSATE in verdict.choices else [],
    )


def replayed(lost: Sequence[Event], books: Books) -> list[Event]:
    """Return the events that a replay of a payment records again, in their order."""
    return _match(books, lost).left


def stands(books: Books, payment_id: bytes, lost: Sequence[Event]) -> StoredPayment | None:
    """Return the payment as the new primary has it, or the one that took its place under a key."""
    kept = books.new_payments.get(payment_id)
    first = books.keys.get(lost[0].key_digest or b"")
    if kept is None and first is not None:
        kept = books.new_payments.get(first.payment_id)
    return kept.payment if kept else None


def _match(books: Books, lost: Sequence[Event]) -> _Matched:
    matched = _Matched({}, [], [])
    expired = {
        event.payment_id
        for event in books.known.get(lost[0].payment_id, ())
        if event.type == EXPIRED
    }
    for event in lost:
        other = books.keys.get(event.key_digest or b"")
        if other is not None and (difference := _differ(event, other)):
            matched.contradictions.append(difference)
            matched.notes[event.event_id] = f"another outcome: {_name(other)}"
        elif other is not None:
            matched.notes[event.event_id] = f"asked again: {_name(other)}"
        elif event.type == EXPIRED and event.payment_id in expired:
            matched.notes[event.event_id] = "expired in the new primary too"
        else:
            matched.left.append(event)
    return matched


def _differ(old: Event, new: Event) -> str:
    """Say how two events under one key differ in what they answered; nothing when they agree."""
    if old.body_digest != new.body_digest:
        return f"One key asked for two things: {_name(old)} and {_name(new)}."
    if old.type != new.type or _amount(old) != _amount(new):
        return (
            f"One key has two outcomes: {old.type} of {_amount(old)} in the old region, "
            f"{new.type} of {_amount(new)} in the new one."
        )
    return ""


def _judge(
    books: Books,
    payment_id: bytes,
    lost: Sequence[Event],
    matched: _Matched,
    adjustments: list[Transfer],
) -> _Verdict:
    with_money = [Choice.ADOPT, *([Choice.COMPENSATE] if adjustments else [])]
    if lost[0].merchant_id not in books.merchants:
        reason = f"The new primary has no merchant {lost[0].merchant_id}: make it first."
        return _Verdict(Sort.CONFLICTING, HUMAN, [Choice.ADOPT], [reason])
    if matched.contradictions:
        return _Verdict(Sort.CONFLICTING, HUMAN, with_money, matched.contradictions)
    if payment_id not in books.new_payments and len(matched.left) < len(lost):
        return _taken_again(books, lost, with_money)
    if not matched.left:
        reason = "The same was asked again, or happened again, in the new region."
        return _Verdict(Sort.SAME, Choice.ADOPT, [Choice.ADOPT], [reason])
    return _judge_fit(books, payment_id, matched, with_money)


def _taken_again(books: Books, lost: Sequence[Event], with_money: list[Choice]) -> _Verdict:
    """Judge a payment in whose place the new primary took another under the same key."""
    other = next(found for e in lost if (found := books.keys.get(e.key_digest or b"")))
    name = ids.write_id(ids.PAYMENT, other.payment_id)
    old = books.old_payments[lost[0].payment_id].payment
    new = books.new_payments[other.payment_id].payment
    reasons = [f"Its key was used again in the new region, where {name} stands in its place."]
    if _facts(old) == _facts(new):
        reasons.append("Both came to the same. Who was told of the old id must learn of the new.")
        return _Verdict(Sort.CONFLICTING, Choice.ADOPT, [Choice.ADOPT], reasons)
    reasons.append(f"They went on differently: {_words(old)}; {_words(new)}.")
    return _Verdict(Sort.CONFLICTING, HUMAN, with_money, reasons)


def _judge_fit(
    books: Books, payment_id: bytes, matched: _Matched, with_money: list[Choice]
) -> _Verdict:
    kept = books.new_payments.get(payment_id)
    payment = kept.payment if kept else None
    moved = [e for e in books.known.get(payment_id, ()) if e.event_id in books.after]
    try:
        for event in matched.left:
            payment = fit(payment, event).payment
    except Misfit as misfit:
        reasons = [f"{misfit}.", "Both regions gave an answer; one of them cannot stand."]
        return _Verdict(Sort.CONFLICTING, HUMAN, with_money, reasons)
    choices = [Choice.REPLAY, Choice.ADOPT]
    if same := books.same_purchases.get(payment_id):
        names = ", ".join(ids.write_id(ids.PAYMENT, other) for other in same)
        reason = f"It may have been taken again under another key, as {names}."
        return _Verdict(Sort.ONLY_OLD, HUMAN, choices, [reason])
    if moved:
        reason = "It was moved on in both regions, and both fit."
        return _Verdict(Sort.CONFLICTING, Choice.REPLAY, choices, [reason])
    reason = "Its answer was given, or may have been, and the new primary has given none."
    return _Verdict(Sort.ONLY_OLD, Choice.REPLAY, choices, [reason])


def _adjustments(
    old: StoredPayment, standing: StoredPayment | None, matched: _Matched
) -> list[Transfer]:
    """Return what lost events moved beyond what the new primary moved, without their states.

    A hold is no money: one that was lost, or that both released, is not posted.
    """
    other_captured, other_fee = 0, 0
    if standing is not None:
        other_captured, other_fee = standing.captured_minor, standing.fee_minor
    posted = []
    captured = old.captured_minor - other_captured
    if captured > 0:
        fee = min(max(old.fee_minor - other_fee, 0), captured)
        posted.append(
            Transfer(
                TransferKind.ADJUST,
                Account.ACQUIRER_RECEIVABLE,
                Account.MERCHANT_PENDING,
                captured,
                fee,
            )
        )
    refunded = sum(_amount(event) for event in matched.left if event.type == REFUNDED)
    if refunded:
        owed = ledger.refund(refunded, settled=False)
        posted.append(msgspec.structs.replace(owed, kind=TransferKind.ADJUST))
    return posted


def _facts(payment: StoredPayment) -> tuple[object, ...]:
    return (
        payment.status,
        payment.amount_minor,
        payment.currency,
        payment.captured_minor,
        payment.refunded_minor,
    )


def _words(payment: StoredPayment | None) -> str:
    if payment is None:
        return "absent"
    name = ids.write_id(ids.PAYMENT, payment.payment_id)
    words = f"{name} {payment.status} {payment.amount_minor} {payment.currency}"
    if payment.status in {State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED}:
        words += f", captured {payment.captured_minor}, refunded {payment.refunded_minor}"
    return words


def _lost(books: Books, event: Event, matched: _Matched) -> LostEvent:
    told = books.told.get(event.event_id)
    return LostEvent(
        id=ids.write_id(ids.EVENT, event.event_id),
        type=event.type,
        at=event.created_at.isoformat(),
        amount=_amount(event),
        told=told.names() if told else [],
        note=matched.notes.get(event.event_id, ""),
    )


def _amount(event: Event) -> int:
    """Return the amount that an event is about."""
    if event.type == REFUNDED:
        return event.refund().amount
    payment = event.payment()
    return payment.amount_captured if event.type not in CREATED else payment.amount


def _name(event: Event) -> str:
    return f"{event.type} {ids.write_id(ids.EVENT, event.event_id)}"

"""Sort what differs, and say for each what could be done and why. Pure.

The rule of proposals: where only one answer was ever given to anybody, it is proposed; where two
were given, or where the books do not tell what happened, a person decides among what is possible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from evertill.domain import ids
from evertill.recovery.reconciliation.cases import sort_payment
from evertill.recovery.reconciliation.differences import (
    HUMAN,
    Choice,
    Difference,
    LostEvent,
    Sort,
    difference_id,
    evidence_of,
)
from evertill.recovery.reconciliation.evidence import Books, Event, Phantom, Setting


def sort(books: Books) -> list[Difference]:
    """Return every difference, payments first; what was decided before is among them."""
    return [_identified(books, item) for item in (*_payments(books), *_others(books))]


def _identified(books: Books, found: Difference) -> Difference:
    named = difference_id(books.old.epoch, found.kind, found.subject)
    return msgspec.structs.replace(found, id=named, evidence=evidence_of(found))


def _payments(books: Books) -> Iterator[Difference]:
    lost: dict[bytes, list[Event]] = defaultdict(list)
    for event in books.lost:
        lost[event.payment_id].append(event)
    for payment_id, events in lost.items():
        yield sort_payment(books, payment_id, events)


def _others(books: Books) -> Iterator[Difference]:
    payments = {event.payment_id for event in books.lost}
    for event_id in books.altered:
        subject = ids.write_id(ids.EVENT, event_id)
        yield _odd("event", subject, "One event has two contents. Nothing of ours changes one.")
    for payment_id in sorted(set(books.rows) - payments):
        subject = ids.write_id(ids.PAYMENT, payment_id)
        yield _odd(
            "payment row", subject, "Its row differs, though the same events happened to it."
        )
    for subject_id in sorted(set(books.ledgers) - payments - set(books.rows)):
        subject = ids.write_id(ids.PAYMENT, subject_id)
        yield _odd(
            "ledger", subject, "Its transfers differ, though the same events happened to it."
        )
    for run_id in books.settlements:
        yield _settlement(run_id.hex())
    for setting in books.settings:
        yield _setting(setting)
    for phantom in books.phantoms:
        yield _phantom(phantom)


def _odd(kind: str, subject: str, reason: str) -> Difference:
    reasons = [f"{reason} Find out why before you decide; the new primary's version stands."]
    return _plain(kind, subject, Sort.CONFLICTING, reasons, proposal=HUMAN)


def _settlement(run: str) -> Difference:
    reason = "The old region settled captures that the new primary settles by its own run."
    return _plain("settlement", run, Sort.ONLY_OLD, [reason], proposal=Choice.ADOPT)


def _setting(found: Setting) -> Difference:
    sort = Sort.ONLY_OLD if not found.new else Sort.CONFLICTING
    reasons = [
        f"The {found.kind} {found.name} "
        + ("is not in the new primary." if not found.new else "is not the same in both."),
        "Make it again with `evertill merchants` or `evertill keys` if it is wanted, then adopt.",
    ]
    return _plain(found.kind, found.identity, sort, reasons, proposal=HUMAN)


def _phantom(found: Phantom) -> Difference:
    reasons = [
        f"{found.seen} has this event, and no database that was compared knows of it.",
        "Look for a later copy of the old volume.",
        "If there is none, what the event tells did not happen: tell the merchant, then adopt.",
    ]
    at = found.created_at.isoformat() if found.created_at else ""
    event = LostEvent(id=found.event_id, type=found.type, at=at, amount=0, told=[found.seen])
    item = _plain("event", found.event_id, Sort.PHANTOM, reasons, proposal=HUMAN, events=[event])
    return msgspec.structs.replace(item, merchant_id=found.merchant_id, old=found.payment_id)


def _plain(
    kind: str,
    subject: str,
    sort: Sort,
    reasons: list[str],
    *,
    proposal: str,
    events: Sequence[LostEvent] = (),
) -> Difference:
    """Return a difference about which nothing can be posted."""
    return Difference(
        sort=sort,
        kind=kind,
        subject=subject,
        merchant_id=0,
        amount=0,
        currency="",
        old="",
        new="",
        events=list(events),
        reasons=reasons,
        proposal=proposal,
        choices=[Choice.ADOPT],
    )

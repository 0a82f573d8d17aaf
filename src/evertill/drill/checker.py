"""The invariants of DESIGN.md, I1 to I10, each judged from what was read and what was remembered.

Everything here is pure. A check yields sentences; none means that the invariant held. What a
failover may lose is no violation by itself: it is counted, listed, and bounded by the drill.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from evertill.domain.idempotency import scope_digest
from evertill.drill.books import Books, StoredPayment
from evertill.drill.history import FAILED, OK, History, Request, Story
from evertill.drill.log import LogBooks
from evertill.drill.writers import Epoch, dual_writer_ms

# The service ends every request after 5 s; the rest is the way, and a machine under load. A client
# that gave up has no answer: that is unknown, and no violation.
ANSWER_MAX_S: Final = 5.0 + 3.0 + 1.0
# Recovery takes one payment itself, to see whether payments are taken.
RECOVERYS_OWN: Final = '"source":"tok_recovery_'
# A payment of before the drill is not judged; clocks of one machine differ by less than this.
CLOCK_MARGIN_S: Final = 1.0

# Written down anew and not imported: a history is judged by the design, not by the code.
PATHS: Final = {
    "": {"authorized", "captured", "declined"},
    "authorized": {"captured", "canceled", "expired"},
    "captured": {"refunded"},
    "refunded": {"refunded"},
    "canceled": set[str](),
    "expired": set[str](),
    "declined": set[str](),
}
EVENT_PREFIX: Final = "payment."


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is to judge by.

    `books` is the database that takes payments in the end; `others` are those beside it (standbys,
    what came back of a lost region); `logs` are the copies of the transaction log.
    """

    history: History
    books: Books
    others: Sequence[Books] = ()
    logs: Sequence[LogBooks] = ()
    epochs: Sequence[Epoch] = ()


class Lost(msgspec.Struct, frozen=True):
    """An acknowledged request that the books in the end do not hold."""

    number: int
    operation: str
    payment: str
    key: str
    currency: str
    amount_minor: int
    acknowledged_s: float


class Verdict(msgspec.Struct, frozen=True):
    """What was found; `violations` are sentences behind the numbers of their invariants."""

    violations: list[str]
    lost: list[Lost]
    phantoms: list[str]
    duplicates: int
    unbalanced: int
    dual_writer_ms: float


def judge(evidence: Evidence) -> Verdict:
    """Check every invariant."""
    duplicates = list(_taken_twice(evidence))
    unbalanced = list(_not_conserved(evidence))
    dual_ms = dual_writer_ms(evidence.history, [evidence.books, *evidence.others], evidence.epochs)
    checks = (
        ("I1", unbalanced),
        ("I2", duplicates),
        ("I3", _acknowledged_and_changed(evidence)),
        ("I4", _sent_by_nobody(evidence)),
        ("I5", _answered_differently(evidence.history)),
        ("I6", _written_by_two(evidence, dual_ms)),
        ("I7", _undelivered(evidence)),
        ("I8", _impossible_paths(evidence)),
        ("I9", (f"{log.place}: {text}" for log in evidence.logs for text in log.breaks)),
        ("I10", _never_ended(evidence.history)),
    )
    return Verdict(
        violations=[f"{name}: {sentence}" for name, found in checks for sentence in found],
        lost=lost(evidence),
        phantoms=sorted(phantoms(evidence)),
        duplicates=len(duplicates),
        unbalanced=len(unbalanced),
        dual_writer_ms=dual_ms,
    )


def digest_of(merchant: int, request: Request) -> bytes:
    """Return the digest under which a request's key is stored."""
    return scope_digest(merchant, request.operation, request.target, request.key)


def lost(evidence: Evidence) -> list[Lost]:
    """Return what was acknowledged and is not in the books in the end."""
    kept = _answers(evidence.books)
    found = []
    for story in evidence.history.stories.values():
        answer = story.acknowledged
        if answer is None or digest_of(evidence.books.merchant, story.request) in kept:
            continue
        told = json.loads(answer.answer)
        found.append(
            Lost(
                number=story.request.number,
                operation=story.request.operation,
                payment=str(told.get("payment_id") or told["id"]),
                key=story.request.key,
                currency=str(told["currency"]),
                amount_minor=int(told["amount"]),
                acknowledged_s=answer.ended_s,
            )
        )
    return found


def phantoms(evidence: Evidence) -> set[str]:
    """Return the events that were handed over and are not in the books in the end."""
    kept = {event.event for event in evidence.books.events}
    return {entry.event for log in evidence.logs for entry in log.entries} - kept


def _answers(books: Books) -> dict[bytes, str]:
    return {event.key: event.answer for event in books.events if event.key is not None}


def _not_conserved(evidence: Evidence) -> Iterator[str]:
    for books in (evidence.books, *evidence.others):
        for sentence in books.unbalanced:
            yield f"{books.place}: {sentence}"


def _taken_twice(evidence: Evidence) -> Iterator[str]:
    """Find keys with two payments, and payments that were answered to two keys."""
    keys = Counter(event.key for event in evidence.books.events if event.key is not None)
    for key, count in keys.items():
        if count > 1:
            yield f"{count} events were stored under the key digest {key.hex()}"
    owners: dict[str, int] = {}
    for story in evidence.history.stories.values():
        if story.request.operation not in {"create", "refunds"}:
            continue
        made = {json.loads(answer)["id"] for answer in _acknowledgements(story)}
        if len(made) > 1:
            yield f"{_name(story.request)} was answered with {', '.join(sorted(made))}"
        for each in made:
            if owners.setdefault(each, story.request.number) != story.request.number:
                yield f"{each} was answered to {owners[each]} and to {_name(story.request)}"


def _acknowledged_and_changed(evidence: Evidence) -> Iterator[str]:
    """Find what is stored otherwise than it was answered; what is lost is listed apart."""
    kept = _answers(evidence.books)
    for story in evidence.history.stories.values():
        stored = kept.get(digest_of(evidence.books.merchant, story.request))
        if stored is None:
            continue
        if story.acknowledged is not None and story.acknowledged.answer != stored:
            yield f"{_name(story.request)} is not stored as it was acknowledged"
        elif story.acknowledged is None and _was_refused(story):
            yield f"{_name(story.request)} was refused for good and is stored"


def _was_refused(story: Story) -> bool:
    return bool(story.attempts) and all(each.outcome == FAILED for each in story.attempts)


def _sent_by_nobody(evidence: Evidence) -> Iterator[str]:
    books = evidence.books
    sent = {digest_of(books.merchant, story.request) for story in evidence.history.stories.values()}
    for payment, keys in _keys_by_payment(evidence).items():
        # A payment begins with somebody's request; jobs may go on with it, without a key.
        if keys[0] is None or any(key not in sent for key in keys if key is not None):
            yield f"nobody sent all of {payment}"
    told = {event.payment for event in books.events}
    for stored in books.payments:
        if stored.payment not in told:
            yield f"{stored.payment} is stored without any event"


def _answered_differently(history: History) -> Iterator[str]:
    for story in history.stories.values():
        ways = len(set(_acknowledgements(story)))
        if ways > 1:
            yield f"{_name(story.request)} was answered in {ways} ways"


def _written_by_two(evidence: Evidence, dual_ms: float) -> Iterator[str]:
    if dual_ms > 0:
        yield f"two regions committed beside each other for {dual_ms:.0f} ms"
    for books in (evidence.books, *evidence.others):
        for epoch in books.stale_epochs:
            yield f"{books.place} in epoch {books.epoch} takes commits of epoch {epoch}"


def _undelivered(evidence: Evidence) -> Iterator[str]:
    """Find events that no copy of the log has, and payments whose events come in another order."""
    if not evidence.logs:
        yield "no copy of the log could be read"
        return
    handed: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for entry in itertools.chain.from_iterable(log.entries for log in evidence.logs):
        # Once is what is promised at least; the first time is what the order is judged by.
        if entry.event not in seen:
            seen.add(entry.event)
            handed[entry.payment].append(entry.event)
    stored: dict[str, list[str]] = defaultdict(list)
    for event in evidence.books.events:
        stored[event.payment].append(event.event)
        if event.event not in seen:
            yield f"{event.event} of {event.payment} was never delivered"
    for payment, events in stored.items():
        known = set(events)
        if [each for each in handed[payment] if each in known] != [e for e in events if e in seen]:
            yield f"the events of {payment} were delivered out of order"


def _impossible_paths(evidence: Evidence) -> Iterator[str]:
    states: dict[str, list[str]] = defaultdict(list)
    for event in evidence.books.events:
        states[event.payment].append(event.type.removeprefix(EVENT_PREFIX))
    for stored in evidence.books.payments:
        path = states.get(stored.payment, [])
        if path and not is_path(path):
            yield f"{stored.payment} went through {', '.join(path)}"
        elif path and not _ends_in(path[-1], stored.status):
            yield f"{stored.payment} is {stored.status} after {path[-1]}"
        yield from _impossible_amounts(stored)


def _impossible_amounts(stored: StoredPayment) -> Iterator[str]:
    is_ordered = (
        0 <= stored.refunded_minor <= stored.captured_minor <= stored.amount_minor
        and stored.refunds_minor == stored.refunded_minor
    )
    if not is_ordered:
        yield (
            f"{stored.payment} of {stored.amount_minor} has {stored.captured_minor} captured, "
            f"{stored.refunded_minor} refunded, and refunds of {stored.refunds_minor}"
        )


def is_path(states: Iterable[str]) -> bool:
    """Tell whether a payment may go through these states from its beginning."""
    steps = list(itertools.pairwise(["", *states]))
    return bool(steps) and all(after in PATHS.get(before, ()) for before, after in steps)


def _ends_in(last: str, status: str) -> bool:
    if last == "refunded":
        return status in {"refunded", "partially_refunded"}
    return status == last


def _never_ended(history: History) -> Iterator[str]:
    for story in history.stories.values():
        for attempt in story.attempts:
            if attempt.ended is None:
                yield f"{_name(story.request)}, try {attempt.sent.attempt}, never ended"
            elif attempt.ended.status and attempt.ended.took_s > ANSWER_MAX_S:
                yield (
                    f"{_name(story.request)}, try {attempt.sent.attempt}, was answered "
                    f"{attempt.ended.status} after {attempt.ended.took_s:.1f} s"
                )
        if story.closed is None:
            yield f"{_name(story.request)} was never closed"


def _acknowledgements(story: Story) -> list[str]:
    ends = (attempt.ended for attempt in story.attempts if attempt.ended is not None)
    return [end.answer for end in ends if end.outcome == OK]


def _keys_by_payment(evidence: Evidence) -> Mapping[str, list[bytes | None]]:
    """Return the keys of each payment's events, of payments that began within the drill."""
    began_at = evidence.history.begun.began_at - CLOCK_MARGIN_S
    found: dict[str, list[bytes | None]] = {}
    for event in evidence.books.events:
        if event.payment in found:
            found[event.payment].append(event.key)
        elif event.at >= began_at and RECOVERYS_OWN not in event.answer:
            found[event.payment] = [event.key]
    return found


def _name(request: Request) -> str:
    return f"request {request.number} ({request.operation}, {request.key})"

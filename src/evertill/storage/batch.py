"""One batch of payments in one transaction: claim, decide, record.

The invariant: results are those of taking the payments one by one in arrival order. `claim` locks
what decides about them (their keys and their sources, never waiting) and reads what the rules need;
`decide` is pure; `record` stores all that was decided and commits. Locks are held from the claim to
the commit, so two processes never decide about one source at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from psycopg.pq.abc import PGresult

from evertill.domain import ledger
from evertill.domain.errors import InternalError, KeyInFlight
from evertill.domain.money import EXPONENTS, exponent
from evertill.domain.payments import DeclineReason, Payment, write_captured
from evertill.domain.rules import Decline, SourceHistory, decide
from evertill.domain.states import State
from evertill.storage import permits
from evertill.storage.answers import StoredAnswer, lock_number, read_answers, replay
from evertill.storage.packing import (
    pack_int2,
    pack_int8,
    pack_number,
    pack_text,
    pack_time,
    pack_uuid,
)
from evertill.storage.permits import Permit
from evertill.storage.pipeline import Pipeline
from evertill.storage.statements import prepared
from evertill.storage.submissions import Outcome, Submission

HOT_STATEMENTS: Final = {
    name: prepared(name)
    for name in (
        "begin",
        "try_locks",
        "read_clock",
        "find_answers",
        "find_history",
        "record_payments",
        "commit",
        "rollback",
    )
}

log = logging.getLogger(__name__)

_encoder: Final = msgspec.json.Encoder()

# Looked up once: in Python 3.11 a member of an enumeration is found by a call.
_CAPTURED: Final = State.CAPTURED
_AUTHORIZED: Final = State.AUTHORIZED
_DECLINED: Final = State.DECLINED
_STATUSES: Final = {state: state.encode() for state in State}
_CODES: Final = {code: code.encode() for code in EXPONENTS}


class Claim(NamedTuple):
    """What the database said about a batch before it is decided, at its own time `at`.

    Positions in the batch, from 0: of keys that are `in_flight` and of sources that are `busy` in
    another process.
    """

    at: datetime
    in_flight: frozenset[int]
    busy: frozenset[int]
    answers: dict[bytes, StoredAnswer]
    histories: dict[int, SourceHistory]


class Decided(msgspec.Struct, frozen=True):
    """A payment that is to be recorded, and the answer that its caller will get."""

    submission: Submission
    status: State
    decline: Decline | None
    fee_minor: int
    transfer: ledger.Transfer | None
    answer: bytes


class Decisions(NamedTuple):
    """What a claim led to: payments to record, and outcomes that need no recording.

    Callers learn either after the transaction has ended, when its locks are free again.
    """

    decided: list[Decided]
    outcomes: list[tuple[Submission, Outcome]]


async def claim(
    pipeline: Pipeline, batch: Sequence[Submission], meanwhile: Callable[[], None] = lambda: None
) -> Claim:
    """Begin a transaction, lock and look up a batch, in one round trip; raise psycopg.Error.

    `meanwhile` is called once the server is at work on it.
    """
    send_claim(pipeline, batch)
    pipeline.flush()
    meanwhile()
    return read_claim(pipeline, await pipeline.results(), len(batch))


def send_claim(pipeline: Pipeline, batch: Sequence[Submission]) -> None:
    """Queue the statements of a claim."""
    keys = [submission.key_digest for submission in batch]
    sources = [submission.source_key for submission in batch]
    pipeline.send("begin")
    pipeline.send("try_locks", pack_int8([*[lock_number(key) for key in keys], *sources]))
    pipeline.send("read_clock")
    pipeline.send("find_answers", pack_uuid(keys))
    # Each source once: its history would be counted as often as it is named.
    pipeline.send("find_history", pack_int8(list(dict.fromkeys(sources))))


def read_claim(pipeline: Pipeline, results: Sequence[PGresult], size: int) -> Claim:
    """Read what the statements of a claim of `size` payments answered."""
    held, clock, known, past = [pipeline.rows(result) for result in results[1:]]
    # The first locks were the keys', the others the sources'.
    positions = [position - 1 for (position,) in held]
    return Claim(
        at=clock[0][0],
        in_flight=frozenset(position for position in positions if position < size),
        busy=frozenset(position - size for position in positions if position >= size),
        answers=read_answers(known),
        histories={row[0]: read_history(row[1:]) for row in past},
    )


def read_history(row: Sequence[Any]) -> SourceHistory:
    """Read a row of find_history, without its key: counts, sums, recent amounts and references."""
    amounts, references = row[6] or [], row[7] or []
    recent = set(zip(amounts, references, strict=True))
    return SourceHistory((row[0], row[1], row[2]), (row[3], row[4], row[5]), recent)


def decide_batch(batch: Sequence[Submission], claimed: Claim) -> Decisions:
    """Decide a claimed batch in arrival order.

    A payment whose source is busy elsewhere, or whose own earlier try still holds its key, is in
    neither part of the result: it is to be claimed again.
    """
    decisions = Decisions([], [])
    at = _encoder.encode(claimed.at).decode()
    for position, submission in enumerate(batch):
        if submission.outcome is not None:
            # Its deadline came meanwhile, and its caller was told that nothing was done.
            continue
        if position in claimed.in_flight:
            if not submission.maybe_committed:
                decisions.outcomes.append((submission, KeyInFlight()))
        elif stored := claimed.answers.get(submission.key_digest):
            decisions.outcomes.append((submission, replay(submission, stored, claimed.at)))
        elif position not in claimed.busy:
            try:
                decisions.decided.append(_decide_one(submission, claimed, at))
            except Exception:
                # Terms that nobody thought of are that merchant's problem, not its neighbours'.
                log.exception("a payment could not be decided")
                decisions.outcomes.append((submission, InternalError()))
    return decisions


async def record(pipeline: Pipeline, at: datetime, decided: list[Decided], permit: Permit) -> None:
    """Store what was decided and commit, in one round trip; raise psycopg.Error.

    The server refuses it as a standby would when `permit` is of another epoch, or over.
    """
    columns = _columns(decided) | {
        "recorded_at": pack_time(at),
        "of_epoch": pack_number(permit.epoch),
        "lease_end": pack_time(permits.end(permit, at)),
    }
    parameters = HOT_STATEMENTS["record_payments"].parameters
    pipeline.send("record_payments", *[columns[name] for name in parameters])
    pipeline.send("commit")
    await pipeline.sync()


def _decide_one(submission: Submission, claimed: Claim, at: str) -> Decided:
    attempt, merchant = submission.attempt, submission.merchant
    history = claimed.histories.get(submission.source_key)
    if history is None:
        history = claimed.histories[submission.source_key] = SourceHistory()
    decline = decide(attempt, merchant, history)
    history.record(attempt, approved=decline is None)
    if decline is None and submission.capture:
        fixed = merchant.limits(attempt.currency).fee_fixed_minor
        fee = ledger.fee_minor(attempt.amount_minor, merchant.terms.fee_basis_points, fixed)
        transfer = ledger.sale(attempt.amount_minor, fee)
        answer = write_captured(submission.payment_id, attempt, submission.description, fee, at)
        return Decided(submission, _CAPTURED, None, fee, transfer, answer)
    status = _AUTHORIZED if decline is None else _DECLINED
    held = ledger.authorize(attempt.amount_minor) if decline is None else None
    answer = _uncaptured(submission, status, decline, claimed.at)
    return Decided(submission, status, decline, 0, held, answer)


def _uncaptured(
    submission: Submission, status: State, decline: Decline | None, at: datetime
) -> bytes:
    attempt = submission.attempt
    expires_at = None
    if status is _AUTHORIZED:
        expires_at = at + timedelta(seconds=submission.merchant.terms.authorization_lifetime_s)
    return _encoder.encode(
        Payment(
            id="pay_" + submission.payment_id.hex(),
            status=status,
            amount=attempt.amount_minor,
            currency=attempt.currency,
            exponent=exponent(attempt.currency),
            amount_captured=0,
            amount_refunded=0,
            fee=0,
            source=attempt.source,
            reference=attempt.reference,
            description=submission.description,
            decline=DeclineReason(decline.code, decline.message) if decline else None,
            created_at=at,
            expires_at=expires_at,
        )
    )


def _columns(decided: list[Decided]) -> dict[str, bytes]:
    """Turn rows into the arrays that record_payments takes."""
    submissions = [row.submission for row in decided]
    attempts = [submission.attempt for submission in submissions]
    transfers = [row.transfer for row in decided]
    captured = [
        row.submission.attempt.amount_minor if row.status is _CAPTURED else 0 for row in decided
    ]
    return {
        "merchant_ids": pack_int8([s.merchant.merchant_id for s in submissions]),
        "payment_ids": pack_uuid([s.payment_id for s in submissions]),
        "event_ids": pack_uuid([s.event_id for s in submissions]),
        "key_digests": pack_uuid([s.key_digest for s in submissions]),
        "body_digests": pack_uuid([s.body_digest for s in submissions]),
        "source_keys": pack_int8([s.source_key for s in submissions]),
        "lifetimes_s": pack_int8([s.merchant.terms.authorization_lifetime_s for s in submissions]),
        "descriptions": pack_text(_utf8([s.description for s in submissions])),
        "amounts_minor": pack_int8([a.amount_minor for a in attempts]),
        "currencies": pack_text([_CODES[a.currency] for a in attempts]),
        "exponents": pack_int2([EXPONENTS[a.currency] for a in attempts]),
        "sources": pack_text([a.source.encode() for a in attempts]),
        "refs": pack_text(_utf8([a.reference for a in attempts])),
        "statuses": pack_text([_STATUSES[row.status] for row in decided]),
        "captured_minor": pack_int8(captured),
        "fees_minor": pack_int8([row.fee_minor for row in decided]),
        "decline_codes": pack_text(
            _utf8([row.decline.code if row.decline else None for row in decided])
        ),
        "answers": pack_text([row.answer for row in decided]),
        "kinds": pack_int2([t.kind if t else None for t in transfers]),
        "debits": pack_int2([t.debit if t else None for t in transfers]),
        "credits": pack_int2([t.credit if t else None for t in transfers]),
    }


def _utf8(texts: list[str | None]) -> list[bytes | None]:
    return [None if text is None else text.encode() for text in texts]

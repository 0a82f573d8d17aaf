"""One decision, whoever asks: history from the reader, the rules, the store and the log.

The order is: decide, store, log, answer. A region whose writer cannot be reached, as in a standby,
decides all the same, says `read_only` and has its decision in the log alone, so there the log must
take it. Where the decision is stored, a log that fails is a figure and an error in our own logs,
and no reason to refuse.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import msgspec

from evertill.domain import ids
from evertill.domain.errors import Unavailable
from evertill.domain.money import exponent
from evertill.domain.outbox import OutboxEvent
from evertill.domain.payments import decline_reason
from evertill.domain.rules import (
    Attempt,
    Decline,
    Merchant,
    MerchantTerms,
    SourceHistory,
    decide,
    source_key,
)
from evertill.validation.database import Databases, Row
from evertill.validation.log import NotLogged, TransactionLog
from evertill.validation.settings import Settings
from evertill.validation.telemetry import count, logger, metrics, report

DECIDED: Final = "validation.decided"

_terms_decoder: Final = msgspec.json.Decoder(MerchantTerms)
_encoder: Final = msgspec.json.Encoder()


class Question(NamedTuple):
    """What is asked: `merchant` and `source` may be unknown in a direct invoke."""

    caller: Literal["direct", "http"]
    merchant: Merchant | None
    amount_minor: int
    currency: str
    source: str | None
    reference: str | None
    payment_reference: str | None


class Decision(NamedTuple):
    """What was decided, when, and whether it is stored in this region's database."""

    validation_id: bytes
    decline: Decline | None
    at: datetime
    is_stored: bool
    has_history: bool


class Engine:
    """What an execution environment keeps between invocations."""

    def __init__(self, settings: Settings) -> None:
        """Put the parts together; nothing is connected yet."""
        self.region = settings.region
        self.logger = logger()
        self.metrics = metrics()
        self.databases = Databases(settings)
        self._log = TransactionLog(settings)
        self._anybody = Merchant(0, active=True, terms=settings.terms())

    def decide(self, question: Question) -> Decision:
        """Decide, store and log; raise Unavailable when nothing could keep the decision."""
        history = self._history(question)
        attempt = Attempt(
            question.amount_minor, question.currency, question.source or "", question.reference
        )
        decline = decide(attempt, question.merchant or self._anybody, history or SourceHistory())
        at = datetime.now(UTC)
        validation_id = ids.new_id()
        is_stored = self._store(validation_id, question, decline, at)
        decision = Decision(validation_id, decline, at, is_stored, history is not None)
        self._write_log(question, decision)
        count(self.metrics, "Approved" if decline is None else "Declined")
        return decision

    def _history(self, question: Question) -> SourceHistory | None:
        """Return the source's history, None when nobody said which source of which merchant."""
        if question.merchant is None or question.source is None:
            return None
        merchant_id = question.merchant.merchant_id
        key = source_key(merchant_id, question.currency, question.source)
        return read_history(self.databases.ask("source_history", source_key=key)[0])

    def _store(
        self, validation_id: bytes, question: Question, decline: Decline | None, at: datetime
    ) -> bool:
        try:
            self.databases.writer.run(
                "record_validation",
                validation_id=validation_id.hex(),
                decided_at=at.isoformat(),
                region=self.region,
                caller=question.caller,
                merchant_id=question.merchant.merchant_id if question.merchant else None,
                payment_reference=question.payment_reference,
                currency=question.currency,
                exponent=exponent(question.currency),
                amount_minor=str(question.amount_minor),
                source=question.source,
                decline_code=decline.code if decline else None,
            )
        except Unavailable as failure:
            count(self.metrics, "NotStored")
            report(self.logger, "the decision is not stored", failure)
            return False
        return True

    def _write_log(self, question: Question, decision: Decision) -> None:
        merchant_id = question.merchant.merchant_id if question.merchant else 0
        validation_id, data = decision.validation_id, _describe(question, decision)
        event = OutboxEvent(merchant_id, ids.new_id(), validation_id, DECIDED, decision.at, data)
        try:
            self._log.append(event, must=not decision.is_stored)
        except NotLogged as failure:
            count(self.metrics, "NotLogged")
            report(self.logger, "the decision is not in the log", failure)
            if not decision.is_stored:
                raise Unavailable from failure


def _describe(question: Question, decision: Decision) -> str:
    """Return what the log says of a decision, in the words that it has for payments."""
    data = {
        "id": ids.write_id(ids.VALIDATION, decision.validation_id),
        "amount": question.amount_minor,
        "currency": question.currency,
        "exponent": exponent(question.currency),
        "source": question.source,
        "reference": question.reference,
        "decline": decline_reason(decision.decline.code if decision.decline else None),
        "caller": question.caller,
        "payment_reference": question.payment_reference,
        "read_only": not decision.is_stored,
    }
    return _encoder.encode(data).decode()


def read_merchant(row: Row) -> Merchant:
    """Read id, activity and terms of a merchant."""
    return Merchant(int(row[0]), active=bool(row[1]), terms=_terms_decoder.decode(row[2]))


def read_history(row: Row) -> SourceHistory:
    """Read a row of source_history."""
    attempts, approved_minor, amounts, references = row
    recent = set(zip(amounts, references, strict=True))
    return SourceHistory(tuple(attempts), tuple(approved_minor), recent)

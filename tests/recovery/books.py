"""Two databases of one ancestor that went on apart, written by the code that the service runs.

`old` is the volume of a region that was lost, `new` the primary that took over: a copy of the old
one as it was, in the next epoch.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from tests.support.history import is_path
from tests.support.postgres import Database, Server
from tests.support.service import new_source

from evertill.domain import ids, moves
from evertill.domain.idempotency import body_digest, scope_digest
from evertill.domain.payments import StoredPayment
from evertill.domain.rules import Attempt, Merchant, source_key
from evertill.recovery.reconciliation.applying import Result
from evertill.recovery.reconciliation.differences import Choice, Difference
from evertill.recovery.reconciliation.proposal import Proposal, propose
from evertill.recovery.reconciliation.reconciling import Findings, Sources, apply, look
from evertill.storage import batch as batches
from evertill.storage.answers import replay
from evertill.storage.database import pool, service_conninfo
from evertill.storage.moves import MoveRequest, expire_authorizations, move_payment
from evertill.storage.pipeline import Pipeline
from evertill.storage.submissions import Answer, Submission

HISTORIES = """
    SELECT p.payment_id, p.status, amount_minor, captured_minor, refunded_minor,
        (SELECT array_agg(type ORDER BY transaction_id, event_id) FROM events AS e
            WHERE e.payment_id = p.payment_id)
    FROM payments AS p
"""
STATE = """
    SELECT 'event', event_id::text, answer, created_at::text FROM events
    UNION ALL SELECT 'payment', payment_id::text, status, refunded_minor::text FROM payments
    UNION ALL SELECT 'transfer', subject_id::text || sequence, kind::text, amount_minor::text
        FROM transfers
    UNION ALL SELECT 'step', step_id::text, decision, approved_by FROM reconciliations
    UNION ALL SELECT 'balance', merchant_id || currency, merchant_pending::text,
        acquirer_receivable::text FROM current_balances
"""


@dataclass(frozen=True)
class Leave:
    """Leave to write in an epoch."""

    epoch: int
    left_s: float = 60.0

    def remaining_s(self) -> float:
        return self.left_s


@dataclass(frozen=True)
class Side:
    """One region's database, written in one epoch."""

    database: Database
    epoch: int = 0

    def take(self, merchant: Merchant, amount: int = 1000, key: str = "", **fields: Any) -> str:
        """Take a payment as the service does, and return its id; a key again replays."""
        capture = fields.pop("capture", True)
        source = fields.pop("source", new_source())
        attempt = Attempt(amount, fields.pop("currency", "USD"), source, fields.pop("ref", None))
        key = key or secrets.token_hex(8)
        submission = Submission(
            merchant=merchant,
            attempt=attempt,
            description=None,
            capture=capture,
            source_key=source_key(merchant.merchant_id, attempt.currency, source),
            key_digest=scope_digest(merchant.merchant_id, "create", "", key),
            body_digest=body_digest(f"{amount} {attempt.currency} {source} {capture}".encode()),
            payment_id=ids.new_id(),
            event_id=ids.new_id(),
            deadline_s=0.0,
        )
        return asyncio.run(self._take(submission))

    async def _take(self, submission: Submission) -> str:
        pipeline = await Pipeline.connect(
            service_conninfo(self.database.service_url), batches.HOT_STATEMENTS
        )
        with closing(pipeline):
            claimed = await batches.claim(pipeline, [submission])
            known = claimed.answers.get(submission.key_digest)
            if known is not None:
                answer = replay(submission, known, claimed.at)
                if not isinstance(answer, Answer):
                    raise answer
                return str(msgspec.json.decode(answer.body)["id"])
            decided = batches.decide_batch([submission], claimed).decided
            await batches.record(pipeline, claimed.at, decided, Leave(self.epoch))
        return ids.write_id(ids.PAYMENT, submission.payment_id)

    def capture(
        self, merchant: Merchant, payment: str, amount: int | None = None, key: str = ""
    ) -> dict[str, Any]:
        def decide(found: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del settled
            return moves.capture(found, amount, merchant, at)

        return self._move(merchant, payment, "capture", key, amount, decide)

    def cancel(self, merchant: Merchant, payment: str, key: str = "") -> dict[str, Any]:
        def decide(found: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del settled
            return moves.cancel(found, at)

        return self._move(merchant, payment, "cancel", key, None, decide)

    def refund(
        self, merchant: Merchant, payment: str, amount: int | None = None, key: str = ""
    ) -> dict[str, Any]:
        def decide(found: StoredPayment, at: datetime, *, settled: bool) -> moves.Move:
            del at
            return moves.refund(found, amount, settled=settled)

        return self._move(merchant, payment, "refunds", key, amount, decide)

    def expire(self) -> int:
        """Expire what is over."""

        async def run() -> int:
            async with pool(self.database.service_url) as connections:
                return await expire_authorizations(connections, partial(Leave, self.epoch))

        return asyncio.run(run())

    def _move(  # noqa: PLR0917 - in the order of a request's path
        self,
        merchant: Merchant,
        payment: str,
        operation: str,
        key: str,
        body: object,
        decide: Any,
    ) -> dict[str, Any]:
        request = MoveRequest(
            merchant_id=merchant.merchant_id,
            payment_id=ids.read_id(ids.PAYMENT, payment),
            key_digest=scope_digest(
                merchant.merchant_id, operation, payment, key or secrets.token_hex(8)
            ),
            body_digest=body_digest(repr(body).encode()),
            event_id=ids.new_id(),
            refund_id=ids.new_id(),
            decide=decide,
        )

        async def run() -> dict[str, Any]:
            async with pool(self.database.service_url) as connections:
                answer = await move_payment(connections, request, partial(Leave, self.epoch))
                found: dict[str, Any] = msgspec.json.decode(answer.body)
                return found

        return asyncio.run(run())


@contextmanager
def failed_over(server: Server, old: Database, epoch: int = 1) -> Iterator[Side]:
    """Give the primary that took over: a copy of `old` as it is now, in the next epoch."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(server.admin, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(old.name)
            )
        )
    try:
        database = server.database(name)
        database.rows("SELECT raise_epoch(%s, 'us-east-2')", [epoch])
        yield Side(database, epoch)
    finally:
        with psycopg.connect(server.admin, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def sources(old: Database, new: Side, **more: Any) -> Sources:
    """Return where to look."""
    return Sources(old.admin_url, new.database.admin_url, **more)


def proposal_of(findings: Findings, **decisions: Choice | None) -> Proposal:
    """Return a proposal with what was proposed, and what a person decided for some subjects."""
    books = findings.books
    proposal = propose(findings.open, datetime.now(UTC), books.old, books.new)
    items = [
        msgspec.structs.replace(item, decision=decisions.get(item.subject, item.decision))
        for item in proposal.items
    ]
    return msgspec.structs.replace(proposal, items=items)


def carry_out(old: Database, new: Side, proposal: Proposal) -> list[Result]:
    """Apply a proposal as it is."""
    found = sources(old, new)
    return apply(found, look(found), proposal, "Ada", lambda: Leave(new.epoch))


def one(findings: Findings) -> Difference:
    """Return the only difference."""
    assert 1 == len(findings.open), [item.reasons for item in findings.open]
    return findings.open[0]


def state(database: Database) -> list[tuple[Any, ...]]:
    """Return everything that a reconciliation may change."""
    return sorted(database.rows(STATE))


def broken_histories(database: Database) -> list[tuple[Any, ...]]:
    """Return payments whose history is no path, or whose amounts cannot be (I8)."""
    return [
        row
        for row in database.rows(HISTORIES)
        if not is_path([event.removeprefix("payment.") for event in row[5] or ()])
        or not 0 <= row[4] <= row[3] <= row[2]
    ]

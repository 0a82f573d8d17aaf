"""Carry out what was approved: each step one transaction in the new primary, under its lease.

The invariant: a step's row in `reconciliations` and its entries are committed together or not at
all. So it does not matter where this is killed, or how often it is run. A payment is locked, and
its next event judged by the state that it has then: the new primary may be taking payments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import psycopg

from evertill.domain import ids
from evertill.domain.errors import EvertillError
from evertill.domain.ledger import Transfer
from evertill.domain.payments import StoredPayment
from evertill.recovery.reconciliation.cases import replayed, stands
from evertill.recovery.reconciliation.comparing import read_payment
from evertill.recovery.reconciliation.differences import Choice, Difference
from evertill.recovery.reconciliation.evidence import Books, Event
from evertill.recovery.reconciliation.fitting import Misfit, Step, fit
from evertill.recovery.reconciliation.proposal import Item, Proposal
from evertill.recovery.reconciliation.statements import Connection, ask

# What the database is told at most; the lease of a region ends long before.
REMAINING_MAX_S: Final = 3600.0
AVAILABLE_GUARD: Final = "balances_available_not_negative"


class LeaseNotHeld(EvertillError):
    """The new primary's region does not hold the write lease at the moment. Run it again."""

    code = "lease_not_held"


class Permit(Protocol):
    """Leave to write, as the region's own tasks have it."""

    @property
    def epoch(self) -> int:
        """The epoch to write in."""

    def remaining_s(self) -> float:
        """Return for how many more seconds it is good."""


class Result(NamedTuple):
    """What became of an item: how many steps were done, or why none was."""

    item: Item
    steps: int
    refused: str = ""


class Applier:
    """Applies the items of one proposal to the new primary."""

    def __init__(
        self,
        new: Connection,
        books: Books,
        proposal: Proposal,
        approved_by: str,
        permit: Callable[[], Permit],
    ) -> None:
        """Write over `new` what `approved_by` decided, from what `books` say of the old volume."""
        self._new: Final = new
        self._books: Final = books
        self._proposal: Final = proposal
        self._approved_by: Final = approved_by
        self._permit: Final = permit
        self._lost: Final[dict[str, list[Event]]] = defaultdict(list)
        for event in books.lost:
            self._lost[ids.write_id(ids.PAYMENT, event.payment_id)].append(event)

    def apply(self, present: Sequence[Difference], begun: frozenset[str]) -> list[Result]:
        """Apply every decided item that is still as it was; `begun` were in the middle of it."""
        found = {difference.id: difference for difference in present}
        return [
            self._apply(item, found[item.id], is_begun=item.id in begun)
            for item in self._proposal.items
            if item.decision is not None and item.id in found
        ]

    def _apply(self, item: Item, present: Difference, *, is_begun: bool) -> Result:
        if present.evidence != item.evidence and not (is_begun and item.decision is Choice.REPLAY):
            return Result(item, 0, "it has changed since it was proposed: propose it anew")
        try:
            if item.decision is Choice.REPLAY:
                return Result(item, self._replay(item))
            return Result(item, self._settle(item, present))
        except Misfit as misfit:
            return Result(item, 0, str(misfit))
        except psycopg.errors.LockNotAvailable:
            return Result(item, 0, "its payment or key is being worked on: run it again")

    def _replay(self, item: Item) -> int:
        steps = 0
        for event in replayed(self._lost[item.subject], self._books):
            with self._new.transaction():
                steps += self._replay_event(item, event)
        return steps

    def _replay_event(self, item: Item, event: Event) -> bool:
        new = self._new
        if event.key_digest is not None:
            locks = [int.from_bytes(event.key_digest[:8], "big", signed=True)]
            ask(new, "lock_keys", {"locks": locks})
        at = self._begin(item, event.event_id)
        if at is None:
            return False
        if event.key_digest is not None:
            keys = {"key_digests": [UUID(bytes=event.key_digest)]}
            if ask(new, "read_events_of_keys", keys):
                raise Misfit("its key was used in the new primary meanwhile")
        payment, settled = self._lock(event.merchant_id, event.payment_id)
        step = fit(payment, event)
        try:
            with new.transaction():
                self._record(step, at, settled=settled)
        except psycopg.errors.CheckViolation as failure:
            if failure.diag.constraint_name != AVAILABLE_GUARD:
                raise
            # It was paid out of money that the merchant has no more: what is pending bears it.
            self._record(step, at, settled=False)
        return True

    def _record(self, step: Step, at: datetime, *, settled: bool) -> None:
        new, event, payment = self._new, step.event, step.payment
        transfers = step.transfers(settled=settled)
        common = {
            "recorded_at": at,
            "merchant_id": event.merchant_id,
            "payment_id": UUID(bytes=event.payment_id),
            "event_id": UUID(bytes=event.event_id),
            "key_digest": _uuid(event.key_digest),
            "body_digest": _uuid(event.body_digest),
            "answer": event.answer,
            "type": event.type,
            "created_at": event.created_at,
            **_amounts(payment),
            **self._authority(at),
        }
        if step.is_new:
            kept = self._books.old_payments[event.payment_id]
            ask(new, "record_payment", common | {"source_key": kept.source_key} | _made(step))
            ask(
                new,
                "restore_payment_times",
                common | {"expires_at": payment.expires_at, "created_at": payment.created_at},
            )
        else:
            ask(new, "record_move", common | _moved(step) | _columns(payment, transfers))
        ask(new, "restore_event_time", common)

    def _settle(self, item: Item, present: Difference) -> int:
        with self._new.transaction():
            adjustment = ids.new_id() if item.decision is Choice.COMPENSATE else None
            at = self._begin(item, bytes.fromhex(item.id), adjustment)
            if at is None:
                return 0
            ask(self._new, "check_authority", self._authority(at))
            if adjustment is not None:
                transfers = [posting.transfer() for posting in present.adjustments]
                self._compensate(item, transfers, adjustment, at)
        return 1

    def _compensate(
        self, item: Item, transfers: Sequence[Transfer], adjustment: bytes, at: datetime
    ) -> None:
        lost = self._lost[item.subject]
        seen = stands(self._books, lost[0].payment_id, lost)
        if seen is not None and self._lock(seen.merchant_id, seen.payment_id)[0] != seen:
            raise Misfit("the payment has moved on since it was proposed: propose it anew")
        old = self._books.old_payments[lost[0].payment_id].payment
        columns = _columns(old, transfers) | {
            "subject_ids": [UUID(bytes=adjustment)] * len(transfers)
        }
        sequences = {"posted_at": at, "sequences": columns["ordinals"]}
        ask(self._new, "post_transfers", columns | sequences)

    def _begin(self, item: Item, step: bytes, adjustment: bytes | None = None) -> datetime | None:
        """Note a step; return the database's time, None when the step was done before."""
        parameters = {
            "step_id": UUID(bytes=step),
            "difference_id": UUID(hex=item.id),
            "proposal_id": UUID(hex=self._proposal.id),
            "subject": item.subject,
            "decision": item.decision,
            "approved_by": self._approved_by,
            "of_epoch": self._books.new.epoch,
            "adjustment_id": _uuid(adjustment),
        }
        found = ask(self._new, "begin_step", parameters)
        return found[0][0] if found else None

    def _lock(self, merchant_id: int, payment_id: bytes) -> tuple[StoredPayment | None, bool]:
        parameters = {"merchant_id": merchant_id, "payment_id": UUID(bytes=payment_id)}
        found = ask(self._new, "lock_payment", parameters)
        return (read_payment(found[0]), bool(found[0][17])) if found else (None, False)

    def _authority(self, at: datetime) -> dict[str, object]:
        permit = self._permit()
        remaining_s = permit.remaining_s()
        if remaining_s <= 0:
            raise LeaseNotHeld
        end = at + timedelta(seconds=min(remaining_s, REMAINING_MAX_S))
        return {"of_epoch": permit.epoch, "lease_end": end}


def _amounts(payment: StoredPayment) -> dict[str, Any]:
    return {
        "status": payment.status,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "fee_minor": payment.fee_minor,
    }


def _made(step: Step) -> dict[str, Any]:
    payment = step.payment
    transfer = next(iter(step.transfers(settled=False)), None)
    return {
        "currency": payment.currency,
        "exponent": payment.exponent,
        "amount_minor": payment.amount_minor,
        "source": payment.source,
        "reference": payment.reference,
        "description": payment.description,
        "decline_code": payment.decline_code,
        "kind": int(transfer.kind) if transfer else None,
        "debit": int(transfer.debit) if transfer else None,
        "credit": int(transfer.credit) if transfer else None,
    }


def _moved(step: Step) -> dict[str, Any]:
    return {"refund_id": _uuid(step.refund_id), "refund_amount_minor": step.refund_minor}


def _columns(payment: StoredPayment, transfers: Sequence[Transfer]) -> dict[str, Any]:
    count = len(transfers)
    return {
        "subject_ids": [UUID(bytes=payment.payment_id)] * count,
        "ordinals": list(range(1, count + 1)),
        "merchant_ids": [payment.merchant_id] * count,
        "currencies": [payment.currency] * count,
        "kinds": [int(transfer.kind) for transfer in transfers],
        "debits": [int(transfer.debit) for transfer in transfers],
        "credits": [int(transfer.credit) for transfer in transfers],
        "amounts_minor": [transfer.amount_minor for transfer in transfers],
        "fees_minor": [transfer.fee_minor for transfer in transfers],
    }


def _uuid(raw: bytes | None) -> UUID | None:
    return UUID(bytes=raw) if raw is not None else None

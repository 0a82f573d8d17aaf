"""A difference between two regions' books, as people read it, decide about it, and sign for it."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Final, Self

import msgspec

from evertill.domain.ledger import Account, Transfer, TransferKind

DIGEST_SIZE_BYTES: Final = 16


class Sort(StrEnum):
    """What kind of difference it is. What is only in the new primary is counted, not decided."""

    SAME = "same"
    ONLY_OLD = "only_old"
    CONFLICTING = "conflicting"
    PHANTOM = "phantom_event"


class Choice(StrEnum):
    """What can be done about it."""

    REPLAY = "replay"
    ADOPT = "adopt"
    COMPENSATE = "compensate"


HUMAN: Final = "human"
MEANINGS: Final[dict[str, str]] = {
    Choice.REPLAY: "record the lost events again, with entries of today",
    Choice.ADOPT: "let the new primary's version stand; nothing is posted",
    Choice.COMPENSATE: "post what the lost events moved as an adjustment; states stay",
}


class LostEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that the new primary does not have; `told` names who had learned of it."""

    id: str
    type: str
    at: str
    amount: int
    told: list[str]
    note: str = ""


class Posting(msgspec.Struct, frozen=True):
    """A transfer of an adjustment, by the accounts' names; the fee is a part of the amount."""

    debit: str
    credit: str
    amount: int
    fee: int

    @classmethod
    def of(cls, transfer: Transfer) -> Self:
        """Return a transfer as people read it."""
        names = transfer.debit.name.lower(), transfer.credit.name.lower()
        return cls(*names, transfer.amount_minor, transfer.fee_minor)

    def transfer(self) -> Transfer:
        """Return it as it is posted."""
        accounts = Account[self.debit.upper()], Account[self.credit.upper()]
        return Transfer(TransferKind.ADJUST, *accounts, self.amount, self.fee)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to decide. `evidence` changes when what was found changes."""

    id: str = ""
    sort: Sort
    kind: str
    subject: str
    merchant_id: int
    amount: int
    currency: str
    old: str
    new: str
    events: list[LostEvent]
    reasons: list[str]
    proposal: str
    choices: list[Choice]
    adjustments: list[Posting] = []
    evidence: str = ""


def difference_id(old_epoch: int, kind: str, subject: str) -> str:
    """Return the id of a difference: the same whenever the same thing of one old volume differs.

    A volume is given up once in its epoch, so the same payment may differ again after another loss.
    """
    return _digest(f"{old_epoch}\0{kind}\0{subject}")


def evidence_of(found: Difference) -> str:
    """Digest what a decision rests on."""
    parts = [found.sort, found.old, found.new, ",".join(found.choices)]
    parts += [event.id for event in found.events]
    parts += [f"{item.debit}>{item.credit}:{item.amount}" for item in found.adjustments]
    return _digest("\0".join(parts))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=DIGEST_SIZE_BYTES).hexdigest()

"""What is proposed for every difference, as a file that a person edits and approves.

The file is the only thing that decides. What it does not decide stays open; what has changed since
it was written is not done but proposed anew.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from evertill.domain.errors import UsageError
from evertill.recovery.reconciliation.differences import HUMAN, MEANINGS, Choice, Difference
from evertill.recovery.reconciliation.evidence import Position

VERSION: Final = 1
ITEMS_MAX: Final = 1_000_000


class Item(Difference, frozen=True, kw_only=True):
    """A difference and what a person decided: one of its choices, or nothing yet."""

    decision: Choice | None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """All differences of one comparison."""

    version: int = VERSION
    id: str
    made_at: datetime
    old: Position
    new: Position
    how: str = (
        "Set each item's decision to one of its choices, or leave it null: then nothing is done. "
        "Decisions that were proposed are filled in; those that need a person are null."
    )
    choices: dict[str, str] = msgspec.field(default_factory=lambda: dict(MEANINGS))
    items: list[Item]


def propose(
    differences: Iterable[Difference], made_at: datetime, old: Position, new: Position
) -> Proposal:
    """Return a proposal, decided where one answer was ever given."""
    items = [
        Item(
            **msgspec.structs.asdict(found),
            decision=None if found.proposal == HUMAN else Choice(found.proposal),
        )
        for found in differences
    ]
    return Proposal(id=secrets.token_hex(16), made_at=made_at, old=old, new=new, items=items)


def write(proposal: Proposal, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(proposal), indent=2))


def read(path: Path) -> Proposal:
    """Read a file that a person may have edited; raise UsageError for what cannot be meant."""
    try:
        proposal = msgspec.json.decode(path.read_bytes(), type=Proposal)
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}.") from failure
    except msgspec.MsgspecError as failure:
        raise UsageError(f"{path} is no proposal: {failure}.") from failure
    if proposal.version != VERSION or len(proposal.items) > ITEMS_MAX:
        raise UsageError(f"{path} is a proposal that this release does not understand.")
    for item in proposal.items:
        if item.decision is not None and item.decision not in item.choices:
            choices = ", ".join(item.choices)
            message = f"{item.subject} cannot be decided as {item.decision}: choose {choices}."
            raise UsageError(message)
    return proposal


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody reads half of it."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as failure:
        raise UsageError(f"{path} cannot be written: {failure.strerror}.") from failure

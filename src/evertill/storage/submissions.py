"""Payments on their way to a commit, and how their callers learn what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from evertill.domain.errors import EvertillError
from evertill.domain.rules import Attempt, Merchant


class Answer(msgspec.Struct, frozen=True):
    """The bytes that a caller gets, and whether they were stored for an earlier request."""

    body: bytes
    replayed: bool


Outcome = Answer | EvertillError


class Waiting(Protocol):
    """Somebody who is told when a submission has an outcome."""

    def count_down(self) -> None:
        """Note one outcome more."""


class Waiter:
    """Calls back once, when all of a caller's submissions have an outcome."""

    __slots__ = ("_open", "_wake")

    def __init__(self, submissions: int, wake: Callable[[], None]) -> None:
        """Call `wake` after this many outcomes."""
        self._open = submissions
        self._wake = wake

    def count_down(self) -> None:
        """Note one outcome more."""
        self._open -= 1
        if self._open == 0:
            self._wake()


class Submission(msgspec.Struct, kw_only=True, eq=False):
    """One payment to be taken. Its ids are made before it is sent, so that they survive a retry."""

    merchant: Merchant
    attempt: Attempt
    description: str | None
    capture: bool
    source_key: int
    key_digest: bytes
    body_digest: bytes
    payment_id: bytes
    event_id: bytes
    # A time of the event loop's clock.
    deadline_s: float
    waiter: Waiting | None = None
    outcome: Outcome | None = None
    # True from when a commit was sent until its fate is known.
    maybe_committed: bool = False
    # True once the outcome is certain, though the caller may still have to be told.
    settled: bool = False

    def finish(self, outcome: Outcome) -> None:
        """Set the outcome, unless the deadline has already done so."""
        if self.outcome is None:
            self.outcome = outcome
            # The waiter knows its submissions: letting go of it here leaves no cycle to collect.
            waiter, self.waiter = self.waiter, None
            if waiter is not None:
                waiter.count_down()

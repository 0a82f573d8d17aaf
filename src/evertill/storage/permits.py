"""Leave to write: in which epoch of the write lease, and for how much longer.

It is separate because the committer and the moves both need it, and storage does not know where a
lease comes from. The database checks both inside the transaction that moves money: the epoch
against its own row, and the end of the lease against its own clock. That clock is asked in the same
transaction, so it need not agree with anybody's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

# A lease that never ends, or never began, is a moment that far from now to the database.
REMAINING_MAX_S: Final = 10 * 365 * 86_400


class Permit(Protocol):
    """Leave to write, as it was when it was asked for."""

    @property
    def epoch(self) -> int:
        """Return the epoch to write in."""

    def remaining_s(self) -> float:
        """Return for how many more seconds it is good; not positive when it is over."""


Permits = Callable[[], Permit]
"""Gives the permit of this moment."""


def end(permit: Permit, at: datetime) -> datetime:
    """Return when `permit` ends by the database's clock, which said `at` before this was called.

    It errs on the early side: the clock has gone on since.
    """
    remaining_s = max(-REMAINING_MAX_S, min(REMAINING_MAX_S, permit.remaining_s()))
    return at + timedelta(seconds=remaining_s)

"""A task that writes while its region holds the lease. Pure: time and answers come from outside.

Every task of a region renews for itself. Losing any of them changes nothing, and a task that
cannot reach the table stops by its own clock, whatever the others do.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from evertill.authority.lease import (
    DURATION_S,
    RENEW_INTERVAL_S,
    Answer,
    Ask,
    Found,
    Lease,
    Look,
    Refused,
    Renew,
)

# After a call without an answer: soon, because the lease is running out.
RETRY_INTERVAL_S: Final = 0.5
# A standby looks this often, so that it notices soon when it has been given the lease.
LOOK_INTERVAL_S: Final = 1.0


class Authority(msgspec.Struct, frozen=True):
    """Leave to write in an epoch until a moment on the task's own clock."""

    epoch: int
    until_s: float

    def lasts(self, now_s: float) -> bool:
        """Tell whether it is still good."""
        return now_s < self.until_s


# Where there is no other region, nobody can take over, and nothing has to be renewed.
UNSHARED: Final = Authority(0, math.inf)
NONE: Final = Authority(0, -math.inf)


class Holder:
    """What one task knows of the lease: what to ask next, and until when it may write."""

    def __init__(self, region: str) -> None:
        """Write in `region` while it holds the lease."""
        self._region: Final = region
        self._lease: Lease | None = None
        self._authority = NONE
        self._is_absent = False
        self._next_s = -math.inf

    @property
    def authority(self) -> Authority:
        """Return the leave to write, over or not."""
        return self._authority

    @property
    def lease(self) -> Lease | None:
        """Return the lease as it was last seen."""
        return self._lease

    @property
    def next_s(self) -> float:
        """Return when to ask next."""
        return self._next_s

    def ask(self, *, may_found: bool) -> Ask:
        """Return what to ask now. `may_found`: this region's database takes writes already."""
        if self._is_absent and may_found:
            return Found(self._region)
        if self._lease is not None and self._lease.region == self._region:
            return Renew(self._region, self._lease.epoch)
        return Look()

    def hear(self, ask: Ask, asked_s: float, answer: Answer | None) -> None:
        """Learn from the answer to what was asked at `asked_s`, on this task's clock."""
        if answer is None:
            # It may have been done or not. The moment until which we may write stays as it is.
            self._next_s = asked_s + RETRY_INTERVAL_S
        elif isinstance(answer, Refused):
            self._refused(ask, asked_s)
        else:
            self._saw(ask, asked_s, answer)

    def _refused(self, ask: Ask, asked_s: float) -> None:
        self._is_absent = isinstance(ask, Look)
        self._lease = None
        self._authority = NONE
        # Somebody else holds it now, or founded it first: look at once who.
        self._next_s = asked_s + (LOOK_INTERVAL_S if self._is_absent else 0.0)

    def _saw(self, ask: Ask, asked_s: float, lease: Lease) -> None:
        self._is_absent = False
        self._lease = lease
        is_ours = lease.region == self._region
        if isinstance(ask, Look):
            # To have read it is not to have renewed it: how long it lasts is not known.
            self._next_s = asked_s + (0.0 if is_ours else LOOK_INTERVAL_S)
            if not is_ours:
                self._authority = NONE
        else:
            self._authority = Authority(lease.epoch, asked_s + DURATION_S)
            self._next_s = asked_s + RENEW_INTERVAL_S

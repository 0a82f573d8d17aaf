"""The lease as it is stored, and the times that everything about it rests on.

There is one, in a table that every region reads and writes with strong consistency. The invariant
that `holding` and `taking` keep together:

    Whoever holds the lease stops before anybody else may take it.

A renewal counts from before its request was sent, on the holder's own clock. Who wants to take the
lease over sees its counter stand still, on its own clock, for longer than any renewal can still
count, and takes it on the condition that the counter is still the same. So two clocks are never
compared: they only have to run at about the same rate.
"""

from __future__ import annotations

from typing import Final

import msgspec

DURATION_S: Final = 15.0
RENEW_INTERVAL_S: Final = 3.0
# How wrong a clock's rate may be, as a part of one: NTP slews by no more than 500 ppm
# (https://www.ntp.org/documentation/4.2.8-series/clock/), a guest of a busy host is worse.
DRIFT_MAX: Final = 0.01
# On its own clock, which may run fast, a taker waits for as long as a holder's may run slow.
TAKEOVER_WAIT_S: Final = DURATION_S * (1 + DRIFT_MAX) / (1 - DRIFT_MAX)


class Lease(msgspec.Struct, frozen=True):
    """Who may write. The epoch grows with every change of the region, the counter with renewals."""

    region: str
    epoch: int
    counter: int


class Look(msgspec.Struct, frozen=True):
    """Read the lease."""


class Found(msgspec.Struct, frozen=True):
    """Make the lease, as its first holder, on the condition that there is none yet."""

    region: str

    @property
    def made(self) -> Lease:
        """Return the lease that it makes."""
        return Lease(self.region, 1, 1)

    def apply(self, lease: Lease | None) -> Lease | None:
        """Return what the lease becomes, None when the condition does not hold."""
        return self.made if lease is None else None


class Renew(msgspec.Struct, frozen=True):
    """Count the lease on, on the condition that region and epoch are still these."""

    region: str
    epoch: int

    def apply(self, lease: Lease | None) -> Lease | None:
        """Return what the lease becomes, None when the condition does not hold."""
        if lease is None or (lease.region, lease.epoch) != (self.region, self.epoch):
            return None
        return Lease(lease.region, lease.epoch, lease.counter + 1)


class Take(msgspec.Struct, frozen=True):
    """Give the lease to `region` in a new epoch, on the condition that it is still `seen`."""

    region: str
    seen: Lease

    @property
    def made(self) -> Lease:
        """Return the lease that it makes."""
        return Lease(self.region, self.seen.epoch + 1, self.seen.counter + 1)

    def apply(self, lease: Lease | None) -> Lease | None:
        """Return what the lease becomes, None when the condition does not hold."""
        return self.made if lease == self.seen else None


class Refused(msgspec.Struct, frozen=True):
    """The condition did not hold, or there is no lease to read."""


Ask = Look | Found | Renew | Take
Answer = Lease | Refused
"""What a call comes to; None in place of it is a call whose outcome is not known."""

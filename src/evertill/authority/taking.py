"""Who takes the lease over from a region that is lost. Pure, like `holding`.

A taker needs no clock that others share and no word from the old holder: it watches the counter
stand still. That wait is a part of the recovery time and cannot be had cheaper, unless the old
writer was fenced in its database, which then refuses every commit of the old epoch.
"""

from __future__ import annotations

import math
from typing import Final

from evertill.authority.lease import TAKEOVER_WAIT_S, Lease, Take


class Taker:
    """Watches the lease until nobody can hold it any more."""

    def __init__(self, region: str) -> None:
        """Take the lease for `region`."""
        self._region: Final = region
        self._seen: Lease | None = None
        self._still_since_s = math.inf

    def saw(self, lease: Lease, answered_s: float) -> None:
        """Note what was read, at the moment when the answer came, on this process's clock."""
        if lease != self._seen:
            self._seen, self._still_since_s = lease, answered_s

    def remaining_s(self, now_s: float) -> float:
        """Return for how long the lease must still be seen unchanged, infinite before a look."""
        return max(0.0, self._still_since_s + TAKEOVER_WAIT_S - now_s)

    def take(self, now_s: float) -> Take | None:
        """Return the call that takes the lease over, None while its holder may still write."""
        if self._seen is None or self.remaining_s(now_s) > 0:
            return None
        return Take(self._region, self._seen)

    def has_taken(self, lease: Lease) -> bool:
        """Tell whether `lease` is what our call makes of what we saw, its answer lost or not."""
        return (
            self._seen is not None
            and lease.region == self._region
            and lease.epoch == self._seen.epoch + 1
        )


def take_from_fenced(lease: Lease, region: str) -> Take:
    """Return the call that takes the lease at once.

    It is safe only after the database of the holder's region was fenced: see `storage`, where a
    commit of an epoch that is over is refused. That is how a planned switchover goes.
    """
    return Take(region, lease)

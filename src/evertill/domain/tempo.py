"""How long the service's own intervals take where time is simulated (EVERTILL_TIME_SCALE).

It is separate because the service, its journal and its storage all divide theirs by the same
number. What bounds work is never divided: the deadline of a request, the timeout of a call, and the
terms for which an outbox or a delivery is held, which must outlast such calls.
"""

from __future__ import annotations

from typing import Final

# However fast time goes, work takes as long as it takes, and what it waits for too.
INTERVAL_MIN_S: Final = 0.05


def paced(interval_s: float, speed: float) -> float:
    """Return how long an interval takes where time goes `speed` times as fast."""
    return max(interval_s / speed, min(interval_s, INTERVAL_MIN_S))

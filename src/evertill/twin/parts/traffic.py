"""How much goes through a load balancer at the moment, and how fast it is answered.

It is separate from the metrics, which AWS publishes minutes later and rounded: this is what
a person sees who watches. It is in real time, because work takes as long as it takes at any speed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

# What is looked at: the last so many whole seconds.
WINDOW_S: Final = 5
# Of more answers than this in one second the rest is counted and not timed.
TIMED_MAX: Final = 500


class Second(msgspec.Struct):
    """What was answered in one second."""

    at_s: int
    requests: int = 0
    errors_5xx: int = 0
    times_ms: list[int] = msgspec.field(default_factory=list)


class Flow(msgspec.Struct, frozen=True):
    """What went through: `latency_...` is 0 while nothing is answered."""

    requests_per_s: float
    errors_5xx_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float


class Traffic:
    """The last seconds of one load balancer."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._seconds: deque[Second] = deque(maxlen=WINDOW_S + 1)

    def note(self, took_ms: int, *, is_error: bool) -> None:
        """Note one request that was answered now."""
        now_s = int(time.monotonic())
        if not self._seconds or self._seconds[-1].at_s != now_s:
            self._seconds.append(Second(now_s))
        second = self._seconds[-1]
        second.requests += 1
        second.errors_5xx += is_error
        if took_ms >= 0 and len(second.times_ms) < TIMED_MAX:
            second.times_ms.append(took_ms)

    def recent(self) -> list[Second]:
        """Return the whole seconds of the window, without the one that has not ended."""
        now_s = int(time.monotonic())
        return [item for item in self._seconds if now_s - WINDOW_S <= item.at_s < now_s]


def flow_of(traffic: Iterable[Traffic]) -> Flow:
    """Return what goes through several load balancers together."""
    seconds = [second for item in traffic for second in item.recent()]
    times_ms = sorted(took for second in seconds for took in second.times_ms)
    return Flow(
        requests_per_s=sum(second.requests for second in seconds) / WINDOW_S,
        errors_5xx_per_s=sum(second.errors_5xx for second in seconds) / WINDOW_S,
        latency_p50_ms=_percentile(times_ms, 0.50),
        latency_p99_ms=_percentile(times_ms, 0.99),
    )


def _percentile(ordered: list[int], share: float) -> float:
    return float(ordered[math.ceil(share * len(ordered)) - 1]) if ordered else 0.0

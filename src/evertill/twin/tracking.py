"""Target tracking: how many tasks there should be, from what was measured minute by minute.

It is separate and pure because the rule is a table: three minutes above the target scale out,
fifteen well below it scale in, and policies that disagree are settled in favour of more tasks.
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

# What the alarms that Application Auto Scaling makes for such a policy look at, in minutes.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html
OUT_MINUTES: Final = 3
IN_MINUTES: Final = 15
# Scaling in begins this far below the target only, so that the count does not swing.
IN_SHARE: Final = 0.9

Values = Sequence[float | None]


class Tracked(msgspec.Struct, frozen=True):
    """A policy's metric: its last IN_MINUTES values, the newest last, and what is aimed at."""

    values: Values
    target: float
    scales_in: bool = True

    def wanted(self, count: int) -> int:
        """Return how many of now `count` tasks this metric asks for."""
        recent = list(self.values[-OUT_MINUTES:])
        if len(recent) == OUT_MINUTES and _all(recent, lambda value: value > self.target):
            return max(count + 1, self._proportional(count, recent))
        if not self.scales_in or len(self.values) < IN_MINUTES:
            return count
        if _all(self.values[-IN_MINUTES:], lambda value: value < self.target * IN_SHARE):
            return min(count, self._proportional(count, self.values[-IN_MINUTES:]))
        return count

    def _proportional(self, count: int, values: Values) -> int:
        known = [value for value in values if value is not None]
        return max(1, math.ceil(count * max(known) / self.target))


def wanted_count(count: int, tracked: Sequence[Tracked], bounds: tuple[int, int]) -> int:
    """Return how many tasks there should be: the most that any policy asks for, within bounds."""
    lower, upper = bounds
    asked = max((one.wanted(count) for one in tracked), default=count)
    return min(upper, max(lower, asked))


def _all(values: Values, test: Callable[[float], bool]) -> bool:
    """Tell whether every value is there and passes: what is missing starts nothing."""
    return all(value is not None and test(value) for value in values)

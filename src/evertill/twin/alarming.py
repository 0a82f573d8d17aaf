"""CloudWatch's rules for one alarm: from its data points to its state. Pure: no clock, no store.

It is separate because the documentation gives tables of cases, and the tests are those tables:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

# CloudWatch looks at more points than it evaluates; for 3 the documentation's range is 5.
RANGE_EXTRA: Final = 2

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


class State(StrEnum):
    """What an alarm can be, as CloudWatch spells it."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """What missing points stand for, as templates spell it."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm fires: `datapoints_to_alarm` of `evaluation_periods` breach the threshold."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Missing = Missing.MISSING

    @property
    def range_periods(self) -> int:
        """Return how many of the last periods are looked at."""
        return self.evaluation_periods + RANGE_EXTRA


def evaluate(rule: Rule, points: Sequence[float | None], current: State) -> State:
    """Return the state after `points`, the evaluation range with the newest last, None missing."""
    compare = COMPARISONS[rule.comparison]
    breaches = [None if point is None else compare(point, rule.threshold) for point in points]
    real = [breach for breach in breaches if breach is not None]
    if len(real) >= rule.evaluation_periods:
        # Enough was published: how missing points are treated does not matter.
        return _state(sum(real[-rule.evaluation_periods :]) >= rule.datapoints_to_alarm)
    filled = rule.evaluation_periods - len(real)
    match rule.missing:
        case Missing.BREACHING:
            return _state(sum(real) + filled >= rule.datapoints_to_alarm)
        case Missing.NOT_BREACHING:
            return _state(sum(real) >= rule.datapoints_to_alarm)
    return _sparse(rule, breaches, current)


def _sparse(rule: Rule, breaches: Sequence[bool | None], current: State) -> State:
    """Return the state for too few points where missing ones stand for nothing."""
    real = [breach for breach in breaches if breach is not None]
    if sum(real) >= rule.datapoints_to_alarm:
        return State.ALARM
    if False in real:
        return State.OK
    if rule.missing is Missing.IGNORE:
        return current
    # "Premature alarm state": a breach at least as old as the points that are needed, and only
    # breaching or missing ones since.
    age = len(breaches) - breaches.index(True) if real else 0
    is_premature = age >= rule.datapoints_to_alarm and bool(real)
    return State.ALARM if is_premature else State.INSUFFICIENT_DATA


def is_enough_for_percentile(percent: float, samples: int) -> bool:
    """Tell whether a percentile of so many samples means something, by CloudWatch's measure.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
    """
    share = percent / 100
    if not 0 < share < 1:
        return samples > 0
    return samples >= (10 / (1 - share) if share >= 0.5 else 10 / share)  # noqa: PLR2004 - the page's


def _state(is_alarm: bool) -> State:  # noqa: FBT001 - one flag, and it is what the result says
    return State.ALARM if is_alarm else State.OK

"""Target tracking asks for as many tasks as the documentation says, case by case."""

from __future__ import annotations

import pytest

from evertill.twin.tracking import IN_MINUTES, Tracked, Values, wanted_count

BOUNDS = (2, 10)


def track(*recent: float | None, rest: float | None = 50.0, scales_in: bool = True) -> Tracked:
    """Return a metric with a target of 70, its last values and what was before them."""
    values: Values = [*[rest] * (IN_MINUTES - len(recent)), *recent]
    return Tracked(values, 70.0, scales_in)


CASES = {
    "near the target nothing happens": (4, [track(65, 66, 67, rest=65)], 4),
    "three minutes above it scale out in proportion": (4, [track(105, 105, 105)], 6),
    "by one task at least": (4, [track(71, 71, 71)], 5),
    "two minutes above it are not enough": (4, [track(60, 105, 105, rest=65)], 4),
    "what is missing starts nothing": (4, [track(105, None, 105)], 4),
    "the upper bound holds": (8, [track(140, 140, 140)], 10),
    "fifteen minutes below nine tenths scale in": (8, [track(rest=35)], 4),
    "a single minute above keeps the count": (8, [track(69, 35, rest=35)], 8),
    "the lower bound holds": (3, [track(rest=1)], 2),
    "what is missing takes nothing away": (8, [track(None, rest=35)], 8),
    "a policy may not scale in": (8, [track(rest=35, scales_in=False)], 8),
    "of two policies the one that wants more counts": (
        4,
        [track(rest=10), track(105, 105, 105)],
        6,
    ),
    "and none takes away what the other needs": (8, [track(rest=10), track(rest=66)], 8),
    "a count outside of the bounds is brought within": (1, [], 2),
    "a metric that began a moment ago takes nothing away": (8, [Tracked([10.0] * 5, 70.0)], 8),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_count_is_the_one_of_the_rule(case: str) -> None:
    count, tracked, wanted = CASES[case]
    assert wanted == wanted_count(count, tracked, BOUNDS)

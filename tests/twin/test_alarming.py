"""The documentation's own cases of alarms and missing data, row by row.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import pytest

from evertill.twin.alarming import (
    COMPARISONS,
    Missing,
    Rule,
    State,
    evaluate,
    is_enough_for_percentile,
)

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
RETAIN = None
POINTS = {"0": 0.0, "X": 10.0, "-": None}

THREE_OF_THREE = [
    ("0 - X - X", OK, OK, OK, OK),
    ("0 - - - -", OK, OK, OK, OK),
    ("- - - - -", INSUFFICIENT, RETAIN, ALARM, OK),
    ("0 X X - X", ALARM, ALARM, ALARM, ALARM),
    ("- - X - -", ALARM, RETAIN, ALARM, OK),
]
TWO_OF_THREE = [
    ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
    ("0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
    ("0 - X - -", OK, OK, ALARM, OK),
    ("- - - - 0", OK, OK, ALARM, OK),
    ("- - - X -", ALARM, RETAIN, ALARM, OK),
]
# From the page's text: no alarm yet, since the next point may be within the threshold.
NOT_YET = ["- - - - X", "- - - X -"]
ORDER = (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)


def rule(datapoints: int, missing: Missing) -> Rule:
    return Rule(
        comparison="GreaterThanThreshold",
        threshold=3,
        evaluation_periods=3,
        datapoints_to_alarm=datapoints,
        missing=missing,
    )


def points(text: str) -> list[float | None]:
    return [POINTS[mark] for mark in text.split()]


@pytest.mark.parametrize("current", list(State))
@pytest.mark.parametrize(
    ("datapoints", "row"),
    [(3, row) for row in THREE_OF_THREE] + [(2, row) for row in TWO_OF_THREE],
    ids=str,
)
def test_missing_data_is_treated_as_the_documentation_says(
    datapoints: int, row: tuple[str, State, State | None, State, State], current: State
) -> None:
    marks, *expected = row
    found = [evaluate(rule(datapoints, missing), points(marks), current) for missing in ORDER]
    assert [current if state is RETAIN else state for state in expected] == found


@pytest.mark.parametrize("marks", NOT_YET)
def test_a_young_breach_alone_is_not_yet_an_alarm(marks: str) -> None:
    assert evaluate(rule(3, Missing.MISSING), points(marks), OK) is not ALARM


def test_what_is_older_than_the_needed_points_is_not_looked_at() -> None:
    assert OK == evaluate(rule(2, Missing.BREACHING), points("X X 0 0 X"), ALARM)


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("GreaterThanThreshold", [False, False, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_every_comparison_knows_its_edge(comparison: str, breaching: list[bool]) -> None:
    assert breaching == [COMPARISONS[comparison](value, 3) for value in (2, 3, 4)]


@pytest.mark.parametrize(
    ("percent", "samples", "enough"),
    [(99, 999, False), (99, 1000, True), (50, 19, False), (50, 20, True), (10, 100, True)],
)
def test_a_percentile_of_few_samples_is_told_apart(
    percent: float, samples: int, *, enough: bool
) -> None:
    assert enough is is_enough_for_percentile(percent, samples)

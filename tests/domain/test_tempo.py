"""Where time goes faster, intervals are shorter, down to what work can follow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evertill.domain.tempo import INTERVAL_MIN_S, paced
from evertill.domain.webhooks import SCHEDULE, Result


@pytest.mark.parametrize(
    ("interval_s", "speed", "expected_s"),
    [
        (30.0, 1.0, 30.0),
        (30.0, 10.0, 3.0),
        (600.0, 60.0, 10.0),
        # Shorter than this nothing gets, unless it was so from the beginning.
        (1.0, 60.0, INTERVAL_MIN_S),
        (0.02, 60.0, 0.02),
    ],
)
def test_an_interval_is_divided_as_far_as_work_can_follow(
    interval_s: float, speed: float, expected_s: float
) -> None:
    assert expected_s == paced(interval_s, speed)


def test_the_schedule_of_webhooks_is_divided() -> None:
    result = Result("it answered 500", SCHEDULE[1], timedelta(seconds=20))
    assert Result("it answered 500", timedelta(seconds=30), timedelta(seconds=2)) == (
        result.sooner(10)
    )
    assert Result() == Result().sooner(10)

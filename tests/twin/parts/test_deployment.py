"""A deployment's account: when the breaker trips, and how failing tasks are slowed down."""

from __future__ import annotations

import pytest
from tests.twin.tasks import container, definition

from evertill.twin.parts.deployment import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    RESTART_PAUSE_S,
    Deployment,
)


def made() -> Deployment:
    return Deployment("one", definition(container("true")), 0.0, "")


@pytest.mark.parametrize(
    ("count", "failures"), [(1, 3), (2, 3), (6, 3), (7, 4), (10, 5), (25, 13), (1_000, 200)]
)
def test_the_breaker_trips_at_half_of_the_count_within_its_bounds(
    count: int, failures: int
) -> None:
    deployment = made()
    for _ in range(failures - 1):
        deployment.failed_task(0, has_run=True)
    assert not deployment.is_broken(count)
    deployment.failed_task(0, has_run=True)
    assert deployment.is_broken(count)


def test_a_task_that_passes_its_checks_makes_up_for_the_failures_before_it() -> None:
    deployment = made()
    for _ in range(2):
        deployment.failed_task(0, has_run=True)
    deployment.good_task()
    deployment.failed_task(0, has_run=True)
    assert not deployment.is_broken(2)
    assert 3 == deployment.failures


def test_tasks_that_never_run_are_started_more_and_more_slowly() -> None:
    deployment = made()
    for _ in range(3):
        deployment.failed_task(0, has_run=False)
    assert not deployment.may_start(BACKOFF_FIRST_S - 1)
    assert deployment.may_start(BACKOFF_FIRST_S)
    deployment.failed_task(100, has_run=False)
    assert not deployment.may_start(100 + BACKOFF_FIRST_S)
    assert deployment.may_start(100 + 2 * BACKOFF_FIRST_S)
    for _ in range(500):
        deployment.failed_task(100, has_run=False)
    assert deployment.may_start(100 + BACKOFF_MAX_S)


def test_tasks_that_run_and_then_fail_are_replaced_at_the_same_pace_for_ever() -> None:
    deployment = made()
    assert deployment.may_start(0)
    for _ in range(100):
        deployment.failed_task(0, has_run=True)
    assert not deployment.may_start(RESTART_PAUSE_S - 1)
    assert deployment.may_start(RESTART_PAUSE_S)

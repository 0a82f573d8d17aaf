"""When a webhook is tried again, and when no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evertill.domain.webhooks import JITTER_SHARE, SCHEDULE, answered, failed


def test_the_schedule_is_the_specifications() -> None:
    hours = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert [timedelta(hours=h) for h in hours] == list(SCHEDULE)


@pytest.mark.parametrize("attempts", range(1, 10))
def test_a_retry_comes_about_when_the_schedule_says(attempts: int) -> None:
    delays = [failed(attempts, "", chance, None).later for chance in (0.0, 0.5, 1.0)]
    exact = SCHEDULE[attempts - 1]
    assert [exact * (1 - JITTER_SHARE), exact, exact * (1 + JITTER_SHARE)] == delays


def test_after_the_tenth_attempt_there_is_none() -> None:
    assert None is failed(10, "it answered 500", 0.5, None).later


def test_retry_after_is_respected_up_to_a_day_and_holds_for_the_whole_endpoint() -> None:
    result = answered(1, 503, 0.5, timedelta(hours=1))
    assert (timedelta(hours=1), timedelta(hours=1)) == (result.later, result.pause)
    assert timedelta(hours=24) == answered(1, 429, 0.5, timedelta(days=365)).later


def test_retry_after_of_the_past_does_not_hasten_a_retry() -> None:
    assert SCHEDULE[1] == answered(2, 500, 0.5, timedelta(days=-1)).later


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert None is answered(1, status, 0.5).error


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_anything_else_is_tried_again(status: int) -> None:
    assert answered(1, status, 0.5).later


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_under_load_is_left_alone_for_a_while(status: int) -> None:
    assert answered(1, status, 0.5).pause


def test_gone_disables_the_endpoint() -> None:
    result = answered(1, 410, 0.5)
    assert (None, "gone") == (result.later, result.disable)

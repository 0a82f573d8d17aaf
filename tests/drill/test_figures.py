"""Figures from histories that are made up, where every number is known beforehand."""

from __future__ import annotations

import pytest

from evertill.drill.bounds import broken
from evertill.drill.figures import longest_gap_s, observe, outage, quantile
from evertill.drill.history import (
    Attempt,
    Begun,
    Closed,
    Ended,
    HeldBack,
    History,
    Outcome,
    Request,
    Sent,
    Story,
)

ANSWER_S = 0.1


def story(number: int, due_s: float, *tries: tuple[float, Outcome]) -> Story:
    """Return a request with tries at these times; each takes a tenth of a second."""
    made = Story(Request(number, due_s, "active", "create", "", f"key-{number}", "{}"))
    for count, (sent_s, outcome) in enumerate(tries, start=1):
        attempt = Attempt(Sent(number, count, sent_s, "here", ""))
        status = {"ok": 201, "failed": 503, "unknown": 0}[outcome]
        attempt.ended = Ended(number, count, sent_s + ANSWER_S, outcome, status)
        made.attempts.append(attempt)
    made.closed = Closed(number, tries[-1][0] + ANSWER_S, tries[-1][1])
    return made


def an_outage(from_s: float, to_s: float) -> list[Story]:
    """Return ten requests a second for 20 s, all of which fail within a time, and succeed after."""
    made: list[Story] = []
    for number in range(200):
        due_s = number / 10
        if from_s <= due_s < to_s:
            made.append(story(number, due_s, (due_s, "failed"), (to_s + 0.05, "ok")))
        else:
            made.append(story(number, due_s, (due_s, "ok")))
    return made


def test_an_outage_lasts_from_the_fault_to_the_first_success() -> None:
    seen = outage(an_outage(5, 9), 5.0, 100)
    assert pytest.approx(0.1, abs=0.01) == seen.first_failure_s
    assert pytest.approx(4.1, abs=0.06) == seen.first_success_s
    assert pytest.approx(4.1, abs=0.06) == seen.normal_s
    assert 40 == seen.failed_tries


def test_an_outage_of_some_clients_has_a_short_gap_and_a_late_return_to_normal() -> None:
    """Half of the tries fail for four seconds: somebody always succeeds, but not 99 %."""
    stories = [
        story(n, n / 10, (n / 10, "failed" if 50 <= n < 90 and n % 2 else "ok")) for n in range(200)
    ]
    seen = outage(stories, 5.0, 100)
    assert seen.first_success_s < seen.normal_s
    assert pytest.approx(4.1, abs=0.06) == seen.normal_s
    assert seen.gap_s < 0.3


def test_without_a_failed_try_there_is_no_outage() -> None:
    seen = outage(an_outage(0, 0), 5.0, 100)
    assert (0, 0, 0) == (seen.first_success_s, seen.normal_s, seen.failed_tries)


def test_what_never_comes_back_has_no_end() -> None:
    seen = outage([story(n, n / 10, (n / 10, "unknown")) for n in range(50)], 0.0, 100)
    assert float("inf") == seen.normal_s


def test_a_refusal_that_is_about_the_request_is_no_outage() -> None:
    one = story(1, 1.0, (1.0, "failed"))
    assert one.attempts[0].ended is not None
    one.attempts[0].ended = Ended(1, 1, 1.1, "failed", 422)
    assert 0 == outage([one], 0.5, 100).failed_tries


def test_a_payment_waits_from_when_it_was_due() -> None:
    """Load that pauses with the platform would hide the pause."""
    history = History(Begun("run", 1, 0.0), dict(enumerate(an_outage(5, 9))), [])
    seen = observe(history, 5.0, 100)
    assert pytest.approx(100, abs=1) == seen.latencies["before"].p50_ms
    assert 4_000 < seen.latencies["during"].p99_ms < 4_300
    assert pytest.approx(100, abs=1) == seen.latencies["after"].p99_ms


def test_what_was_held_back_counts_as_failed_and_not_as_available() -> None:
    stories = {n: story(n, float(n), (float(n), "ok")) for n in range(9)}
    seen = observe(History(Begun("run", 1, 0.0), stories, [HeldBack(9.0, "active")]), None, 100)
    assert (1, 0.9) == (seen.failed_requests, seen.availability)


def test_quantiles_and_gaps_of_nothing_are_nothing() -> None:
    assert (0, 0) == (quantile([], 0.99), longest_gap_s([1.0]))
    assert (2, 3.0) == (quantile([1, 2, 3], 0.5), longest_gap_s([1.0, 2.0, 5.0]))


def test_a_bound_holds_up_to_its_number_and_not_without_a_figure() -> None:
    figures = {"rto_s": 15.0, "lost": 1, "availability": 0.5}
    names = [each.figure for each in broken(figures, {"rto_s": 15, "lost": 0, "rpo_s": 1}, {})]
    assert ["lost", "rpo_s"] == names
    assert ["availability"] == [each.figure for each in broken(figures, {}, {"availability": 0.9})]

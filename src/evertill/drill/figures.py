"""What clients saw, as numbers: how long the platform was away, for whom, and how slow it was.

Everything here is pure and made from the history alone, because that is the only witness outside.
A request counts from when it was due, not from when it was sent, so waiting in a queue is waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from evertill.drill.history import OK, UNKNOWN, Attempt, Ended, History, Story

# A payment that was taken within this of when it was due counts as available.
AVAILABLE_WITHIN_S: Final = 10.0
# Back to normal is a second in which so large a share of all tries succeeds, and all seconds after.
NORMAL_SHARE: Final = 0.99
BUCKET_S: Final = 1.0
# An answer that takes longer is no sign of health, even if it says yes.
SLOW_AFTER_S: Final = 1.0
MS_PER_S: Final = 1_000.0
MEDIAN: Final = 0.5
TAIL: Final = 0.99


class Outage(msgspec.Struct, frozen=True):
    """What a fault did to one kind of client; times count from the fault.

    `first_success_s` ends the longest time without a success, and is 0 when no try failed or was
    slow.
    """

    first_failure_s: float = 0.0
    first_success_s: float = 0.0
    normal_s: float = 0.0
    failed_tries: int = 0
    gap_s: float = 0.0


class Latency(msgspec.Struct, frozen=True):
    """How long payments took in one part of a drill, from when they were due."""

    count: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Seen(msgspec.Struct, frozen=True):
    """Everything that clients saw."""

    requests: int
    tries: int
    failed_requests: int
    unknown_requests: int
    held_back: int
    retries_most: int
    availability: float
    longest_gap_s: float
    outages: dict[str, Outage]
    latencies: dict[str, Latency]


def observe(history: History, fault_s: float | None, until_s: float) -> Seen:
    """Work out what clients saw of a fault at `fault_s`, judged up to `until_s`."""
    stories = list(history.stories.values())
    observers = dict.fromkeys(story.request.observer for story in stories)
    outages = {
        name: outage([s for s in stories if s.request.observer == name], fault_s, until_s)
        for name in observers
    }
    failed = [s for s in stories if s.closed is None or s.closed.outcome != OK]
    return Seen(
        requests=len(stories),
        tries=sum(len(story.attempts) for story in stories),
        failed_requests=len(failed) + len(history.held_back),
        unknown_requests=sum(s.closed is None or s.closed.outcome == UNKNOWN for s in failed),
        held_back=len(history.held_back),
        retries_most=max((len(story.attempts) - 1 for story in stories), default=0),
        availability=_availability(history, stories),
        longest_gap_s=longest_gap_s(_successes(stories)),
        outages=outages,
        latencies=_latencies(stories, fault_s, outages.values()),
    )


def outage(stories: Iterable[Story], fault_s: float | None, until_s: float) -> Outage:
    """Work out what a fault did to the clients of `stories`, up to `until_s`."""
    stories = list(stories)
    successes = _successes(stories)
    gap_s = longest_gap_s(successes)
    if fault_s is None:
        return Outage(gap_s=gap_s)
    tries = [each for story in stories for each in story.attempts]
    # A try that was under way when the fault came is hit by it, too.
    hit = [each for each in tries if _end_s(each) >= fault_s and each.sent.sent_s <= until_s]
    bad = sorted(_end_s(each) for each in hit if is_bad(each))
    if not bad:
        return Outage(gap_s=gap_s)
    normal_s = _normal_s(hit, fault_s)
    gaps = [
        (after - before, after)
        for before, after in pairwise([fault_s, *(at for at in successes if at > fault_s)])
        if before <= fault_s + normal_s
    ]
    _, ends_s = max(gaps, default=(0.0, until_s))
    return Outage(bad[0] - fault_s, ends_s - fault_s, normal_s, len(bad), gap_s)


def is_bad(attempt: Attempt) -> bool:
    """Tell whether a try did not get what a healthy platform gives: a quick and clear answer.

    Where a service waits for its database nothing fails, and yet nobody is paid.
    """
    end = attempt.ended
    if end is None or end.outcome == UNKNOWN or end.took_s > SLOW_AFTER_S:
        return True
    return end.outcome != OK and not _is_clear(end)


def _is_clear(end: Ended) -> bool:
    # A refusal that is about the request: repeating it would change nothing.
    return end.status in range(400, 500) and end.status not in {408, 409, 429}


def longest_gap_s(successes: Sequence[float]) -> float:
    """Return the longest time between two successes."""
    return max((after - before for before, after in pairwise(successes)), default=0.0)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the sorted `values` lies; 0 for none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _successes(stories: Iterable[Story]) -> list[float]:
    return sorted(
        each.ended.ended_s
        for story in stories
        for each in story.attempts
        if each.ended is not None and each.ended.outcome == OK
    )


def _normal_s(tries: Iterable[Attempt], fault_s: float) -> float:
    """Return when tries began to succeed again for good, from the fault on.

    It is the first success that was sent after the last failure of a second in which too many
    failed.
    """
    buckets: dict[int, list[Attempt]] = defaultdict(list)
    for each in tries:
        buckets[int(max(0.0, each.sent.sent_s - fault_s) / BUCKET_S)].append(each)
    worst_s = fault_s
    for bucket in buckets.values():
        bad = [each.sent.sent_s for each in bucket if is_bad(each)]
        if len(bad) > (1 - NORMAL_SHARE) * len(bucket):
            worst_s = max(worst_s, *bad)
    after = [
        each.ended.ended_s
        for bucket in buckets.values()
        for each in bucket
        if each.ended is not None and each.ended.outcome == OK and each.sent.sent_s > worst_s
    ]
    # Without a success after it, it never became normal within the drill.
    return min(after, default=float("inf")) - fault_s


def _availability(history: History, stories: Sequence[Story]) -> float:
    wanted = len(stories) + len(history.held_back)
    taken = sum(
        story.acknowledged is not None
        and story.acknowledged.ended_s - story.request.due_s <= AVAILABLE_WITHIN_S
        for story in stories
    )
    return taken / wanted if wanted else 1.0


def _latencies(
    stories: Sequence[Story], fault_s: float | None, outages: Iterable[Outage]
) -> dict[str, Latency]:
    """Split requests by when they were due: before the fault, until all is normal, and after."""
    begins_s = float("inf") if fault_s is None else fault_s
    normal_s = begins_s + max((each.normal_s for each in outages), default=0.0)
    parts: dict[str, list[float]] = {"before": [], "during": [], "after": []}
    for story in stories:
        answer, due_s = story.acknowledged, story.request.due_s
        if answer is not None:
            part = "before" if due_s < begins_s else "during" if due_s < normal_s else "after"
            parts[part].append((answer.ended_s - due_s) * MS_PER_S)
    return {name: _latency(sorted(values)) for name, values in parts.items()}


def _latency(values: Sequence[float]) -> Latency:
    return Latency(len(values), quantile(values, MEDIAN), quantile(values, TAIL))


def _end_s(attempt: Attempt) -> float:
    return attempt.ended.ended_s if attempt.ended is not None else float("inf")

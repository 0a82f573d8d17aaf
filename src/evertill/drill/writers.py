"""Whether two regions wrote beside each other, and for how long: from commits, not from claims.

It is separate from the other checks because it puts three sources together: which region answered a
request (the client's history), when the database says it happened, and which region held the write
lease in which epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from evertill.domain.idempotency import scope_digest
from evertill.drill.books import Books
from evertill.drill.history import FAILED, OK, Attempt, History, Story

MS_PER_S: Final = 1_000.0


class Epoch(msgspec.Struct, frozen=True):
    """A term of the write lease: whose it was, and when it was first seen (Unix time)."""

    epoch: int
    region: str
    seen_at: float


class Commit(msgspec.Struct, frozen=True):
    """A commit of a region, and the moments (Unix time) between which it happened."""

    region: str
    earliest_at: float
    latest_at: float


def dual_writer_ms(history: History, databases: Sequence[Books], epochs: Sequence[Epoch]) -> float:
    """Return for how long, at most, a region still committed after the next one had begun.

    A commit belongs to that term of its region which is nearest in time. For each two terms that
    follow each other, the time is from the later region's first commit to the earlier one's last.
    """
    terms = sorted(epochs, key=lambda item: item.epoch)
    if len({term.region for term in terms}) < 2:  # noqa: PLR2004 - two regions
        return 0.0
    spans: dict[int, tuple[float, float]] = {}
    for commit in commits(history, databases):
        number = _nearest(terms, commit)
        if number is not None:
            first, last = spans.get(number, (commit.earliest_at, commit.latest_at))
            spans[number] = (min(first, commit.earliest_at), max(last, commit.latest_at))
    taken = [spans[number] for number in range(len(terms)) if number in spans]
    overlap_s = sum(max(0.0, before[1] - after[0]) for before, after in pairwise(taken))
    return overlap_s * MS_PER_S


def commits(history: History, databases: Sequence[Books]) -> Iterator[Commit]:
    """Return every commit whose region is known: it said yes, or was the only one asked.

    The database notes a time before it commits, and the answer comes after. What no database holds
    any more was committed all the same, if it was answered.
    """
    noted: dict[bytes, float] = {}
    for books in databases:
        for event in books.events:
            if event.key is not None:
                noted.setdefault(event.key, event.at)
    merchant = databases[0].merchant if databases else 0
    for story in history.stories.values():
        request = story.request
        digest = scope_digest(merchant, request.operation, request.target, request.key)
        at = noted.get(digest)
        answered = _answered_by(story)
        if answered is not None and answered.ended is not None:
            sent_at = history.begun.began_at + answered.sent.sent_s
            ended_at = history.begun.began_at + answered.ended.ended_s
            yield Commit(answered.sent.region, sent_at if at is None else at, ended_at)
        elif at is not None:
            asked = {each.sent.region for each in story.attempts if each.outcome != FAILED}
            if len(asked) == 1:
                yield Commit(asked.pop(), at, at)


def _answered_by(story: Story) -> Attempt | None:
    """Return the try that was told of its own commit, not of an earlier one's."""
    for attempt in story.attempts:
        end = attempt.ended
        if end is not None and end.outcome == OK:
            return None if end.is_replayed else attempt
    return None


def _nearest(terms: Sequence[Epoch], commit: Commit) -> int | None:
    """Return the place of the region's term that the commit is in, or nearest to."""
    away: dict[int, float] = {}
    for number, term in enumerate(terms):
        if term.region == commit.region:
            ends_at = terms[number + 1].seen_at if number + 1 < len(terms) else float("inf")
            at = commit.earliest_at
            away[number] = max(term.seen_at - at, at - ends_at, 0.0)
    return min(away, key=lambda number: away[number]) if away else None

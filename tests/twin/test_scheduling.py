"""What the scheduler does next follows ECS's rules, case by case."""

from __future__ import annotations

import pytest

from evertill.twin.scheduling import Demand, Member, Moves, decide

ZONES = ("a", "b", "c")
NOTHING = Moves()


def good(name: str, *, old: bool = False) -> Member:
    """Return a healthy task; its name ends with its zone."""
    return Member(name, name[-1], is_primary=not old, is_healthy=True)


def new(name: str) -> Member:
    return Member(name, name[-1])


def bad(name: str, *, old: bool = False) -> Member:
    return Member(name, name[-1], is_primary=not old, is_unhealthy=True)


def want(count: int, minimum: int = 100, maximum: int = 200, **fields: bool) -> Demand:
    return Demand(
        count=count, zones=ZONES, minimum_percent=minimum, maximum_percent=maximum, **fields
    )


CASES = {
    "tasks are spread over the zones": ([], want(4), Moves(("a", "b", "c", "a"))),
    "the zone with the fewest comes first": ([good("1a"), good("1b")], want(3), Moves(("c",))),
    "what is on its way is not started again": ([new("1a"), new("1b")], want(2), NOTHING),
    "enough is enough": ([good("1a"), good("1b"), good("1c")], want(3), NOTHING),
    "a replacement starts before the unhealthy task is stopped": (
        [bad("1a"), good("1b"), good("1c")],
        want(3),
        Moves(("a",)),
    ),
    "an unhealthy task is stopped when its replacement is healthy": (
        [bad("1a"), good("1b"), good("1c"), good("2a")],
        want(3),
        Moves((), ("1a",)),
    ),
    "without room an unhealthy task is stopped first": (
        [bad("1a"), good("1b")],
        want(2, 50, 100),
        Moves((), ("1a",)),
    ),
    "a release starts as many as the maximum allows": (
        [good("1a", old=True), good("1b", old=True)],
        want(2),
        Moves(("a", "b")),
    ),
    "a release stops as many as are healthy": (
        [good("1a", old=True), good("1b", old=True), good("2a"), new("2b")],
        want(2),
        Moves((), ("1a",)),
    ),
    "with half of them to keep, a release stops half at once": (
        [good("1a", old=True), good("1b", old=True)],
        want(2, 50, 100),
        Moves((), ("1a",)),
    ),
    "of the old ones the unhealthy go first": (
        [good("1a", old=True), bad("1b", old=True), good("2a"), new("2b")],
        want(2),
        Moves((), ("1b",)),
    ),
    "a halted release neither starts nor stops": (
        [good("1a", old=True), good("1b", old=True)],
        want(2, is_halted=True),
        NOTHING,
    ),
    "one too many leaves the fullest zone": (
        [good("1a"), good("2a"), good("1b"), good("1c")],
        want(3),
        Moves((), ("1a",)),
    ),
    "what has not started is stopped before what serves": (
        [good("1a"), new("2a"), good("1b")],
        want(2),
        Moves((), ("2a",)),
    ),
    "a move between zones waits for its replacement": (
        [good("1a"), good("2a"), new("1b")],
        want(2),
        NOTHING,
    ),
    "zones are evened out where that is asked for": (
        [good("1a"), good("2a"), good("1c")],
        Demand(count=3, zones=("a", "b"), is_rebalanced=True),
        Moves(("b",)),
    ),
    "and left alone where it is not": ([good("1a"), good("2a"), good("3a")], want(3), NOTHING),
    "one task that may neither be doubled nor missed is never replaced": (
        [good("1a", old=True)],
        want(1, 50, 150),
        NOTHING,
    ),
    "a service of none stops all": ([good("1a")], want(0), Moves((), ("1a",))),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_moves_are_those_of_the_rule(case: str) -> None:
    members, demand, moves = CASES[case]
    assert moves == decide(members, demand)


@pytest.mark.parametrize("count", [2, 3, 7, 10])
@pytest.mark.parametrize(("minimum", "maximum"), [(100, 200), (50, 100), (50, 150), (0, 100)])
def test_a_release_arrives_within_its_bounds_whatever_they_are(
    count: int, minimum: int, maximum: int
) -> None:
    members = [good(f"old{number}{ZONES[number % 3]}", old=True) for number in range(count)]
    demand = want(count, minimum, maximum)
    for turn in range(100):
        moves = decide(members, demand)
        if moves == NOTHING and all(member.is_healthy for member in members):
            break
        members = [good(m.id, old=not m.is_primary) for m in members if m.id not in moves.stop]
        assert sum(member.is_healthy for member in members) >= demand.lower
        members += [new(f"{turn}-{number}{zone}") for number, zone in enumerate(moves.start)]
        assert len(members) <= demand.upper
    assert [True] * count == [member.is_primary and member.is_healthy for member in members]

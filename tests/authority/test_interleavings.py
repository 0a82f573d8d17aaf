"""No two regions commit in overlapping authority, in any of thousands of seeded stories."""

from __future__ import annotations

import random

import pytest
from tests.authority.simulation import REGIONS, Operator, World

from evertill.authority import lease, taking
from evertill.authority.holding import Holder
from evertill.authority.lease import Lease, Look, Renew

STORIES = 2_000
STORIES_PER_TEST = 250
STORY_S = 150.0
ACTIVE, STANDBY = REGIONS


def tell(seed: int) -> World:
    """Run one story: faults at any time, and operators of both regions who interfere."""
    world = World(seed)
    choose = random.Random(seed + 1)  # noqa: S311 - a story, no secret
    for _ in range(choose.randrange(1, 5)):
        fault = choose.choice((cut, cut, pause, jump, fail_over, fail_over, switch_over))
        fault(world, choose, choose.uniform(5, STORY_S * 0.7))
    world.run(STORY_S)
    return world


def cut(world: World, choose: random.Random, at_s: float) -> None:
    region = choose.choice(REGIONS)
    world.after(at_s, lambda: world.cut.add(region))
    world.after(at_s + choose.uniform(1, 60), lambda: world.cut.discard(region))


def pause(world: World, choose: random.Random, at_s: float) -> None:
    task, seconds = choose.choice(world.tasks), choose.uniform(1, 60)
    world.after(at_s, lambda: task.pause(seconds))


def jump(world: World, choose: random.Random, at_s: float) -> None:
    database = world.databases[choose.choice(REGIONS)]
    seconds = choose.choice((-300.0, 300.0))
    world.after(at_s, lambda: database.jump(world.now_s, seconds))


def fail_over(world: World, choose: random.Random, at_s: float) -> None:
    # The other region may be cut off, lost, or alive and unaware.
    operator = Operator(world, choose.choice((STANDBY, STANDBY, ACTIVE)))
    if choose.random() < 0.7:
        other = next(region for region in REGIONS if region != operator.region)
        world.after(at_s, lambda: world.cut.add(other))
    world.after(at_s, operator.fail_over)


def switch_over(world: World, choose: random.Random, at_s: float) -> None:
    world.after(at_s, Operator(world, choose.choice(REGIONS)).switch_over)


@pytest.mark.parametrize("first", range(0, STORIES, STORIES_PER_TEST))
def test_no_two_regions_commit_in_overlapping_authority(first: int) -> None:
    broken = {seed: tell(seed).broken() for seed in range(first, first + STORIES_PER_TEST)}
    assert {} == {seed: commits for seed, commits in broken.items() if commits}


def test_the_stories_are_not_empty() -> None:
    """Authority changes hands in many of them, and both regions commit."""
    worlds = [tell(seed) for seed in range(100)]
    assert 30 < sum(len(world.changes) > 1 for world in worlds)
    both = [{commit.region for commit in world.commits} == set(REGIONS) for world in worlds]
    assert 25 < sum(both)
    assert any(not commit.is_acknowledged for world in worlds for commit in world.commits)


def breaks(monkeypatch: pytest.MonkeyPatch, target: object, name: str, value: float) -> bool:
    monkeypatch.setattr(target, name, value)
    return any(tell(seed).broken() for seed in range(300))


def test_a_taker_that_waits_a_little_less_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert breaks(monkeypatch, taking, "TAKEOVER_WAIT_S", lease.DURATION_S * 0.9)


def test_a_holder_that_counts_from_the_answer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Holder.hear

    def late(self: Holder, ask: lease.Ask, asked_s: float, answer: lease.Answer | None) -> None:
        heard(self, ask, asked_s + 3.0, answer)

    monkeypatch.setattr(Holder, "hear", late)
    assert any(tell(seed).broken() for seed in range(300))


def test_a_story_is_told_the_same_by_the_same_seed() -> None:
    assert tell(7).commits == tell(7).commits


def test_a_region_without_faults_holds_its_lease_all_the_time() -> None:
    world = World(1)
    lapses = []

    def watch() -> None:
        holders = [task for task in world.tasks if task.region == ACTIVE]
        if not any(task.holder.authority.lasts(task.local_s()) for task in holders):
            lapses.append(world.now_s)
        world.after(0.1, watch)

    world.after(20, watch)
    world.run(STORY_S)
    assert [] == lapses
    assert 1 == len(world.changes)


def test_a_lost_region_is_followed_within_the_wait_and_some_calls() -> None:
    world = World(2)
    operator = Operator(world, STANDBY)
    world.after(30, lambda: world.cut.add(ACTIVE))
    world.after(30, operator.fail_over)
    world.run(30 + 2 * lease.TAKEOVER_WAIT_S)
    assert operator.is_done
    standby = [task for task in world.tasks if task.region == STANDBY]
    assert all(task.holder.authority.lasts(task.local_s()) for task in standby)


def test_the_same_region_goes_on_after_the_table_was_away_for_everybody() -> None:
    world = World(3)
    world.after(30, lambda: world.cut.update(REGIONS))
    world.after(60, world.cut.clear)
    world.run(90)
    assert [1] == [change.epoch for change in world.changes]
    assert any(commit.checked_s > 65 for commit in world.commits)


def test_a_counter_that_moves_makes_the_taker_begin_again() -> None:
    taker = taking.Taker(STANDBY)
    taker.saw(Lease(ACTIVE, 4, 10), 0.0)
    taker.saw(Lease(ACTIVE, 4, 11), 10.0)
    assert taker.take(15.0) is None
    taker.saw(Lease(ACTIVE, 4, 11), 20.0)
    taken = taker.take(10.0 + lease.TAKEOVER_WAIT_S)
    assert taken is not None
    assert Lease(STANDBY, 5, 12) == taken.apply(Lease(ACTIVE, 4, 11))
    assert taken.apply(Lease(ACTIVE, 4, 12)) is None


def test_an_answer_that_is_lost_prolongs_nothing() -> None:
    holder = Holder(ACTIVE)
    holder.hear(Look(), 0.0, Lease(ACTIVE, 1, 1))
    holder.hear(Renew(ACTIVE, 1), 1.0, Lease(ACTIVE, 1, 2))
    holder.hear(Renew(ACTIVE, 1), 4.0, None)
    assert holder.authority.lasts(15.9)
    assert not holder.authority.lasts(16.0)


def test_to_have_read_the_lease_is_not_to_hold_it() -> None:
    holder = Holder(ACTIVE)
    holder.hear(Look(), 0.0, Lease(ACTIVE, 1, 1))
    assert not holder.authority.lasts(0.0)
    assert Renew(ACTIVE, 1) == holder.ask(may_found=False)


def test_only_the_region_whose_database_takes_writes_founds_the_lease() -> None:
    holder = Holder(STANDBY)
    holder.hear(Look(), 0.0, lease.Refused())
    assert Look() == holder.ask(may_found=False)
    assert lease.Found(STANDBY) == holder.ask(may_found=True)

"""A plan says what would be done, what it needs, what it loses, and when it would be refused."""

from __future__ import annotations

import pytest
from tests.recovery.worlds import (
    DEV,
    NEW,
    OLD,
    changed,
    database,
    group,
    lost_world,
    position,
    world,
)

from evertill.authority.lease import Lease
from evertill.recovery.evaluate import Left
from evertill.recovery.plan import STEPS, Kind, accepts, expected_loss, make_plan
from evertill.recovery.snapshot import Capacity, Change, Member, Snapshot

FOLLOWS_NOT = Member(region=NEW, arn="", is_writer=False, synchronization="pending-resync")
WRITER = Member(region=OLD, arn="", is_writer=True)
BACK = Change(status="switching-over", source=NEW, target=OLD, is_data_loss_allowed=False)
LEFT = Left(at="2026-11-20T00:00:00Z", kind="switchover", writer=OLD, floor=3, guard_s=20)


def test_a_switchover_loses_nothing_and_says_what_it_calls() -> None:
    plan = make_plan("switchover", NEW, world(), DEV)
    assert STEPS == tuple(step.name for step in plan.steps)
    assert (0, 0.0) == (plan.loss.payments, plan.loss.seconds)
    assert (OLD, NEW, 20, 3) == (plan.source, plan.target, plan.guard_s, plan.floor)
    calls = [call for step in plan.steps for call in step.calls]
    assert f"{OLD}: rds SwitchoverGlobalCluster" in calls
    assert all(met.is_met for step in plan.steps for met in step.preconditions)
    assert () == plan.refusals


def test_a_failover_calls_the_surviving_region_only() -> None:
    plan = make_plan("failover", NEW, lost_world(), DEV)
    calls = [call for step in plan.steps for call in step.calls]
    assert [] == [call for call in calls if not call.startswith(f"{NEW}: ")]
    assert any("FailoverGlobalCluster (AllowDataLoss)" in call for call in calls)


def test_the_wait_for_the_lease_is_part_of_the_expected_time_of_a_failover() -> None:
    fence = next(
        s for s in make_plan("failover", NEW, lost_world(), DEV).steps if s.name == "fence"
    )
    assert fence.expected_s > 15


def test_the_expected_time_is_that_of_the_last_run_where_there_was_one() -> None:
    plan = make_plan("switchover", NEW, world(), DEV, measured_s={"database": 7.5})
    assert 7.5 == next(step.expected_s for step in plan.steps if step.name == "database")


def test_the_target_gets_as_many_tasks_as_the_load_has_now() -> None:
    busy = Capacity(running=5, desired=5, count_min=3, count_max=6, healthy=5)
    assert 5 == make_plan("switchover", NEW, changed(world(), OLD, capacity=busy), DEV).floor


@pytest.mark.parametrize(
    ("behind_s", "guard_s", "seconds", "payments", "usd"),
    [
        (12.0, None, 12.0, 120, 12_000),
        (0.4, None, 0.4, 4, 400),
        # However long ago, the guard stopped commits after its limit.
        (600.0, 20, 20.0, 200, 20_000),
        (3.0, 20, 3.0, 30, 3_000),
    ],
)
def test_the_expected_loss_is_what_came_after_the_last_replicated_commit(
    behind_s: float, guard_s: int | None, seconds: float, payments: int, usd: int
) -> None:
    loss = expected_loss(position(is_writable=False, behind_s=behind_s), guard_s)
    assert (seconds, payments, {"USD": usd}) == (loss.seconds, loss.payments, loss.amounts_minor)


def test_the_guard_of_a_region_that_does_not_answer_is_remembered_from_the_last_run() -> None:
    seen = changed(lost_world(), NEW, position=position(is_writable=False, behind_s=900.0))
    assert 20.0 == make_plan("failover", NEW, seen, DEV, left=LEFT).loss.seconds


def test_what_is_not_known_is_not_a_number() -> None:
    plan = make_plan("failover", NEW, changed(lost_world(), NEW, position=None), DEV)
    assert (None, None) == (plan.loss.payments, plan.loss.seconds)
    assert "lose an unknown number of payments" == plan.phrase


@pytest.mark.parametrize(
    ("kind", "typed", "accepted"),
    [
        ("failover", "lose up to 120 payments", True),
        ("failover", "  Lose up to 121   payments", True),
        ("failover", "lose up to 119 payments", False),
        ("failover", "lose up to many payments", False),
        ("failover", "yes", False),
        ("failover", "", False),
        ("switchover", "switch over to us-east-2", True),
        ("switchover", "switch over to us-east-1", False),
        ("switchover", "lose up to 120 payments", False),
    ],
)
def test_a_confirmation_is_the_phrase_with_a_loss_that_is_large_enough(
    kind: Kind, typed: str, *, accepted: bool
) -> None:
    snapshot = lost_world() if kind == "failover" else world()
    assert accepted == accepts(make_plan(kind, NEW, snapshot, DEV), typed)


@pytest.mark.parametrize(
    ("kind", "snapshot", "said"),
    [
        ("switchover", world(group=None), "RDS does not tell"),
        ("switchover", lost_world(), "does not answer"),
        ("switchover", world(group=group(members=(WRITER, FOLLOWS_NOT))), "does not follow"),
        ("switchover", world(group=group(change=BACK)), "changes the writer to us-east-1 already"),
        ("failover", lost_world(group=group(members=(WRITER,))), "is no member"),
        ("failover", lost_world(group=None), "RDS does not tell"),
    ],
)
def test_what_cannot_succeed_is_refused_before_it_begins(
    kind: Kind, snapshot: Snapshot, said: str
) -> None:
    refusals = make_plan(kind, NEW, snapshot, DEV).refusals
    assert any(said in text for text in refusals), refusals


def test_a_standby_that_follows_is_no_condition_of_a_failover() -> None:
    seen = lost_world(group=group(members=(WRITER, FOLLOWS_NOT)))
    assert () == make_plan("failover", NEW, seen, DEV).refusals


def test_a_precondition_that_nobody_can_check_is_neither_met_nor_unmet() -> None:
    plan = make_plan("switchover", NEW, changed(world(), OLD, position=None), DEV)
    fence = next(step for step in plan.steps if step.name == "fence")
    assert [None] == [item.is_met for item in fence.preconditions]


def test_the_guard_of_the_writer_is_what_the_switchover_moves() -> None:
    seen = changed(world(), OLD, database=database(OLD, guard_s=45))
    assert 45 == make_plan("switchover", NEW, seen, DEV).guard_s


@pytest.mark.parametrize(
    ("snapshot", "is_done"),
    [
        (world(), False),
        (world(group=group(writer=NEW)), False),
        (world(lease=Lease(NEW, 2, 9)), False),
        (world(group=group(writer=NEW), lease=Lease(NEW, 2, 9)), True),
        (world(group=group(writer=NEW, change=BACK), lease=Lease(NEW, 2, 9)), False),
    ],
)
def test_there_is_nothing_to_do_where_database_and_lease_are_the_targets(
    snapshot: Snapshot, *, is_done: bool
) -> None:
    assert is_done == make_plan("switchover", NEW, snapshot, DEV).is_done

"""A snapshot is judged by rules, each of which is a line here."""

from __future__ import annotations

import msgspec
import pytest
from tests.recovery.worlds import AT, DEV, NEW, OLD, changed, database, group, lost_world, world

from evertill.authority.lease import Lease
from evertill.recovery.evaluate import Left, evaluate, signs_of_life
from evertill.recovery.snapshot import AlarmSeen, Capacity, Change, DnsSeen, Member, Snapshot

STALE = Member(region=NEW, arn="", is_writer=False, synchronization="pending-resync")
WRITER = Member(region=OLD, arn="", is_writer=True)
FEW = Capacity(running=1, desired=3, count_min=3, count_max=6, healthy=1)
NONE_HEALTHY = Capacity(running=3, desired=3, count_min=3, count_max=6, healthy=0)
LEFT = Left(at=AT, kind="switchover", writer=OLD, floor=3, guard_s=20)


def moving(status: str) -> Change:
    return Change(status=status, source=OLD, target=NEW, is_data_loss_allowed=False)


def alarm(name: str) -> tuple[AlarmSeen, ...]:
    return (AlarmSeen(name=name, state="ALARM", since=AT),)


def texts(snapshot: Snapshot, left: Left | None = None) -> list[str]:
    return [item.text for item in evaluate(snapshot, DEV, left).findings]


def test_a_world_in_which_all_is_well_says_nothing() -> None:
    evaluation = evaluate(world(), DEV, LEFT)
    assert () == evaluation.findings
    assert {OLD: "writer", NEW: "standby"} == evaluation.roles
    assert evaluation.is_well


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (world(group=None), "No region's RDS tells"),
        (world(group=group(writer="")), "No member of the global database writes"),
        (world(lease=None), "Nobody knows who holds the write lease"),
        (world(lease=Lease(NEW, 2, 1)), "nobody can write"),
        (world(lease_moves=False), "Nobody renews the write lease"),
        (changed(world(), OLD, is_ready=False), "No region is ready"),
        (changed(world(), NEW, is_ready=True), "Both regions say"),
        (changed(world(), NEW, database=database(NEW, guard_s=20)), "would hold every commit back"),
        (changed(world(), OLD, capacity=NONE_HEALTHY), "passes its health check"),
        (world(group=group(members=(WRITER,))), "there is no standby"),
        (lost_world(), "us-east-1 does not answer"),
    ],
)
def test_what_does_harm_is_said_first_and_fails_the_command(snapshot: Snapshot, said: str) -> None:
    evaluation = evaluate(snapshot, DEV)
    harm = [item.text for item in evaluation.findings if item.level == "harm"]
    assert any(said in text for text in harm), harm
    assert not evaluation.is_well
    assert evaluation.findings[0].level == "harm"


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (changed(world(), OLD, database=database(OLD)), "has no RPO guard"),
        (changed(world(), OLD, capacity=FEW), "runs 1 of the 3 tasks"),
        (changed(world(), NEW, capacity=FEW), "The standby us-east-2 runs 1 of its 3"),
        (changed(world(), NEW, lag_ms=12_000.0), "is 12.0 s behind"),
        (changed(world(), NEW, alarms=alarm("db-rpo-lag-dev")), "db-rpo-lag-dev rings"),
        (
            changed(world(), OLD, database=database(OLD, guard_s=20, status="upgrading")),
            "upgrading",
        ),
        (world(group=group(members=(WRITER, STALE))), "RDS says 'pending-resync'"),
        (world(group=group(change=moving("switching-over"))), "switching-over"),
        (world(dns=DnsSeen(answer=("elsewhere.",))), "DNS leads"),
        (
            changed(
                world(),
                NEW,
                database=database(NEW, snapshots=("rds:unplanned-global-failover-1",)),
            ),
            "expires",
        ),
    ],
)
def test_what_somebody_should_look_at_is_a_warning(snapshot: Snapshot, said: str) -> None:
    evaluation = evaluate(snapshot, DEV)
    warnings = [item.text for item in evaluation.findings if item.level == "warning"]
    assert any(said in text for text in warnings), evaluation.findings
    assert evaluation.is_well


def test_a_state_that_nobody_has_heard_of_is_shown_and_not_guessed_at() -> None:
    found = texts(world(group=group(change=moving("defragmenting"))))
    assert any("defragmenting (a state that this tool does not know)" in text for text in found)


def test_an_alarm_that_is_a_state_is_no_trouble() -> None:
    assert [] == texts(changed(world(), OLD, alarms=alarm("region-writer-dev")))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (msgspec.structs.replace(LEFT, writer=NEW), "The writer moved from us-east-2 to us-east-1"),
        (msgspec.structs.replace(LEFT, floor=5), "The floor of us-east-1 fell from 5 to 3"),
        (msgspec.structs.replace(LEFT, guard_s=30), "was 30 s and is 20 s"),
        (msgspec.structs.replace(LEFT, guard_s=None), "was off and is 20 s"),
    ],
)
def test_drift_since_the_last_run_is_told(left: Left, said: str) -> None:
    assert any(said in text for text in texts(world(), left))


@pytest.mark.parametrize(
    ("snapshot", "count"),
    [
        (world(), 2),
        (changed(world(), OLD, is_ready=False), 1),
        (lost_world(), 0),
        # Tasks may renew while their database is dead: that alone proves nothing.
        (changed(lost_world(), OLD, is_ready=True), 1),
    ],
)
def test_a_primary_that_works_shows_signs_of_life(snapshot: Snapshot, count: int) -> None:
    assert count == len(signs_of_life(snapshot, OLD, NEW))

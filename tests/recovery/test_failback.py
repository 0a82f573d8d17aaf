"""A region that comes back is a standby when RDS says so, in words that we know to be good."""

from __future__ import annotations

import msgspec
import pytest

from evertill.recovery.failback import not_joined
from evertill.recovery.snapshot import Change, DatabaseSeen, GlobalSeen, Instance, Member

BACK, WRITER = "us-east-1", "us-east-2"
INSTANCE = Instance(name="db-1", zone="us-east-1a", status="available", is_writer=False)
CLUSTER = DatabaseSeen(arn="old", status="available", endpoint="", instances=(INSTANCE,))
GROUP = GlobalSeen(
    told_by=WRITER,
    status="available",
    members=(
        Member(region=WRITER, arn="new", is_writer=True),
        Member(region=BACK, arn="old", is_writer=False, synchronization="connected"),
    ),
)


def member(**fields: str) -> GlobalSeen:
    """Return the group with another member of the region that comes back."""
    changed = msgspec.structs.replace(GROUP.members[1], **fields)
    return msgspec.structs.replace(GROUP, members=(GROUP.members[0], changed))


def test_a_region_whose_cluster_is_available_and_connected_has_joined() -> None:
    assert not not_joined(GROUP, CLUSTER, BACK)


@pytest.mark.parametrize("status", ["creating", "resetting-replication", "a state of tomorrow"])
def test_a_state_that_is_not_known_to_be_good_is_waited_for_and_shown(status: str) -> None:
    changed = msgspec.structs.replace(CLUSTER, status=status)
    assert f"the cluster of {BACK} is {status}" == not_joined(GROUP, changed, BACK)
    waiting = msgspec.structs.replace(INSTANCE, status=status)
    changed = msgspec.structs.replace(CLUSTER, instances=(waiting,))
    assert "db-1 not available yet" == not_joined(GROUP, changed, BACK)


def test_a_member_that_does_not_follow_yet_is_waited_for() -> None:
    seen = not_joined(member(synchronization="pending-resync"), CLUSTER, BACK)
    assert f"the cluster of {BACK} is pending-resync" == seen


def test_a_cluster_without_instances_is_no_standby() -> None:
    assert not_joined(GROUP, msgspec.structs.replace(CLUSTER, instances=()), BACK)


def test_a_change_of_the_writer_is_waited_for() -> None:
    change = Change(status="failing-over", source=BACK, target=WRITER, is_data_loss_allowed=True)
    changing = msgspec.structs.replace(GROUP, change=change)
    assert "failing-over" in not_joined(changing, CLUSTER, BACK)


def test_a_region_that_was_detached_has_not_joined() -> None:
    alone = msgspec.structs.replace(GROUP, members=GROUP.members[:1])
    assert "is no member" in not_joined(alone, CLUSTER, BACK)

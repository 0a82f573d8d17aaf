"""A switchover that RDS gives up leaves payments where they were, and no half-done run behind.

RDS is written down here: neither an emulator nor the twin gives up when it is asked to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.recovery.test_fence import deployment, table
from tests.recovery.worlds import DEV, NEW, OLD, arn, world
from tests.support.aws import Aws

from evertill.authority.lease import Lease, Look, Take
from evertill.authority.table import Table
from evertill.authority.taking import Taker
from evertill.recovery.deployment import Deployment
from evertill.recovery.errors import StepFailed
from evertill.recovery.journal import begin, unfinished
from evertill.recovery.plan import make_plan
from evertill.recovery.regions import Region, Reports
from evertill.recovery.steps.database import change_writer
from evertill.recovery.steps.fence import fence
from evertill.recovery.steps.running import Run
from evertill.recovery.steps.writable import verify_writable
from evertill.recovery.surroundings import Surroundings

__all__ = ["deployment", "table"]
SPEED = 60.0


class GivingUp(Region):
    """A region whose RDS takes the call, works on it for a while, and goes back."""

    def __init__(self, name: str, endpoint: str, states: list[str]) -> None:
        super().__init__(name, endpoint)
        self.states = states
        self.called: list[str] = []

    def call(self, service: str, operation: str, **_: Any) -> dict[str, Any]:
        assert "rds" == service
        self.called.append(operation)
        if operation == "describe_global_clusters":
            return {"GlobalClusters": [self._global()]}
        answers: dict[str, dict[str, Any]] = {
            "describe_db_clusters": {
                "DBClusters": [
                    {
                        "DBClusterArn": arn(self.name),
                        "Status": "available",
                        "Endpoint": "127.0.0.1",
                        "DBClusterParameterGroup": "payment-db-dev-17",
                        "DBClusterMembers": [],
                    }
                ]
            },
            "describe_db_instances": {"DBInstances": []},
            "describe_db_cluster_parameters": {"Parameters": []},
            "describe_db_cluster_snapshots": {"DBClusterSnapshots": []},
            "switchover_global_cluster": {},
        }
        return answers[operation]

    def _global(self) -> dict[str, Any]:
        members = [
            {
                "DBClusterArn": arn(name),
                "IsWriter": name == OLD,
                "SynchronizationStatus": "connected",
            }
            for name in (OLD, NEW)
        ]
        found: dict[str, Any] = {"Status": "available", "GlobalClusterMembers": members}
        if "switchover_global_cluster" in self.called and self.states:
            found["FailoverState"] = {
                "Status": self.states.pop(0),
                "FromDbClusterArn": arn(OLD),
                "ToDbClusterArn": arn(NEW),
            }
        return found


def make_run(aws: Aws, named: Deployment, tmp_path: Path, said: list[str], to: str = NEW) -> Run:
    around = Surroundings(
        named,
        endpoints={OLD: aws.url, NEW: aws.url},
        find_door=lambda _: "https://127.0.0.1:9",
        authorities=None,
        speed=SPEED,
        reports=Reports(),
    )
    region = GivingUp(NEW, aws.url, ["pending", "pondering", "cancelling"])
    around._regions = {OLD: region, NEW: region}  # type: ignore[misc] # - as the module says
    journal = begin(tmp_path, make_plan("switchover", to, world(), DEV))
    return Run(around, journal, Taker(to), key="", say=said.append)


def test_the_lease_goes_back_when_rds_gives_the_switchover_up(
    aws: Aws, deployment: Deployment, table: Table, tmp_path: Path
) -> None:
    said: list[str] = []
    run = make_run(aws, deployment, tmp_path, said)
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    table.call(Take(NEW, seen))
    with pytest.raises(StepFailed, match=r"gave the change of the writer up.*payments go on there"):
        change_writer(run)
    assert Lease(OLD, 3, 3) == table.call(Look())
    # The fence is undone: whoever types the command again begins with it.
    assert unfinished(tmp_path) is None
    assert any("pondering (a state that this tool does not know)" in text for text in said)


def test_a_switchover_that_was_broken_off_is_undone_by_one_the_other_way(
    aws: Aws, deployment: Deployment, table: Table, tmp_path: Path
) -> None:
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    table.call(Take(NEW, seen))
    run = make_run(aws, deployment, tmp_path, [], to=OLD)
    # The emulator's table is in one region; on AWS either replica tells the same.
    run.around.leases = lambda names: table  # type: ignore[method-assign] # noqa: ARG005 - above
    # The database never moved: its fence is what keeps the old region from writing.
    assert "the lease in epoch 3" in fence(run)
    assert Lease(OLD, 3, 3) == table.call(Look())


def test_nothing_is_committed_for_a_lease_that_is_somebody_elses(
    aws: Aws, deployment: Deployment, table: Table, tmp_path: Path
) -> None:
    assert isinstance(table.call(Look()), Lease)
    with pytest.raises(StepFailed, match="us-east-1 holds the write lease, and not us-east-2"):
        verify_writable(make_run(aws, deployment, tmp_path, []))

"""RDS's answers as values, for who looks and for who waits.

It is separate because looking and the steps read the same answers, and must read them alike.
"""

from __future__ import annotations

from typing import Any, Final

from evertill.recovery.errors import CallRefused
from evertill.recovery.regions import Region
from evertill.recovery.snapshot import (
    Change,
    DatabaseSeen,
    GlobalSeen,
    Guard,
    Instance,
    Member,
)

GUARD: Final = "rds.global_db_rpo"
# What RDS calls the volume of a primary that was given up; it expires.
UNPLANNED: Final = "rds:unplanned-global-failover-"
AVAILABLE: Final = "available"
# What the API's documentation lists; more has been seen, and is shown as it comes.
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverState.html
KNOWN_STATES: Final = frozenset(
    {AVAILABLE, "pending", "switching-over", "failing-over", "cancelling"}
)


def read_global(region: Region, identifier: str) -> GlobalSeen:
    """Return the global cluster as a region tells it."""
    answer = region.call("rds", "describe_global_clusters", GlobalClusterIdentifier=identifier)
    found = answer["GlobalClusters"][0]
    change = found.get("FailoverState")
    return GlobalSeen(
        told_by=region.name,
        status=found["Status"],
        members=tuple(
            Member(
                region=region_of(item["DBClusterArn"]),
                arn=item["DBClusterArn"],
                is_writer=item["IsWriter"],
                synchronization=item.get("SynchronizationStatus", ""),
            )
            for item in found["GlobalClusterMembers"]
        ),
        change=_change(change) if change else None,
    )


def read_database(region: Region, identifier: str) -> DatabaseSeen:
    """Return a region's cluster, its guard, and what RDS kept of given-up volumes."""
    cluster = region.call("rds", "describe_db_clusters", DBClusterIdentifier=identifier)[
        "DBClusters"
    ][0]
    writers = {
        item["DBInstanceIdentifier"]
        for item in cluster["DBClusterMembers"]
        if item["IsClusterWriter"]
    }
    instances = region.call("rds", "describe_db_instances")["DBInstances"]
    return DatabaseSeen(
        arn=cluster["DBClusterArn"],
        status=cluster["Status"],
        endpoint=cluster["Endpoint"],
        instances=tuple(
            Instance(
                name=item["DBInstanceIdentifier"],
                zone=item.get("AvailabilityZone", ""),
                status=item["DBInstanceStatus"],
                is_writer=item["DBInstanceIdentifier"] in writers,
            )
            for item in instances
            if item.get("DBClusterIdentifier") == identifier
        ),
        guard=read_guard(region, cluster["DBClusterParameterGroup"]),
        snapshots=_unplanned(region, identifier),
    )


def read_guard(region: Region, group: str) -> Guard:
    """Return the RPO guard of a parameter group."""
    marker: dict[str, str] = {}
    while True:
        answer = region.call(
            "rds",
            "describe_db_cluster_parameters",
            DBClusterParameterGroupName=group,
            Source="user",
            **marker,
        )
        for item in answer["Parameters"]:
            if item["ParameterName"] == GUARD and item.get("ParameterValue"):
                return Guard(group=group, limit_s=int(item["ParameterValue"]))
        if not answer.get("Marker"):
            return Guard(group=group, limit_s=None)
        marker = {"Marker": answer["Marker"]}


def set_guard(region: Region, group: str, limit_s: int | None) -> None:
    """Set the RPO guard of a parameter group, or take it away."""
    parameter: dict[str, Any] = {"ParameterName": GUARD, "ApplyMethod": "immediate"}
    if limit_s is None:
        operation = "reset_db_cluster_parameter_group"
    else:
        operation = "modify_db_cluster_parameter_group"
        parameter["ParameterValue"] = str(limit_s)
    region.call("rds", operation, DBClusterParameterGroupName=group, Parameters=[parameter])


def region_of(arn: str) -> str:
    """Return the region in an ARN."""
    return arn.split(":")[3]


def _change(told: dict[str, Any]) -> Change:
    return Change(
        status=told["Status"],
        source=region_of(told.get("FromDbClusterArn", ":::")),
        target=region_of(told.get("ToDbClusterArn", ":::")),
        is_data_loss_allowed=bool(told.get("IsDataLossAllowed")),
    )


def _unplanned(region: Region, identifier: str) -> tuple[str, ...]:
    try:
        answer = region.call("rds", "describe_db_cluster_snapshots", DBClusterIdentifier=identifier)
    except CallRefused:
        return ()
    names = [item["DBClusterSnapshotIdentifier"] for item in answer["DBClusterSnapshots"]]
    return tuple(name for name in names if name.startswith(UNPLANNED))

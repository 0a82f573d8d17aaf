"""What RDS says of a cluster, an instance, a global cluster or a snapshot, in its own words.

It is separate from the operations because it changes nothing: a function for each shape.
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Types.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evertill.assembly.pseudo import partition
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.postgres import Instance
from evertill.twin.parts.snapshots import Snapshot

Answer = dict[str, Any]
# The address of an endpoint by the name of its cluster's part and its role, or the instance's name.
Endpoints = Mapping[tuple[str, str], str]
WRITER: Final = "writer"
READER: Final = "reader"


def cluster(item: Cluster, group: GlobalCluster | None, endpoints: Endpoints) -> Answer:
    """Return a DBCluster."""
    spec = item.spec
    answer: Answer = {
        "DBClusterIdentifier": spec.identifier,
        "DBClusterArn": spec.arn,
        "DbClusterResourceId": spec.resource_id,
        "Status": item.state,
        "Engine": spec.engine,
        "EngineVersion": spec.engine_version,
        "Endpoint": endpoints.get((spec.name, WRITER), ""),
        "ReaderEndpoint": endpoints.get((spec.name, READER), ""),
        "Port": spec.port,
        "MultiAZ": len(spec.instances) > 1,
        "AvailabilityZones": sorted({member.zone for member in (*spec.instances, *spec.logs)}),
        "IAMDatabaseAuthenticationEnabled": spec.iam,
        "DBClusterParameterGroup": spec.parameter_group,
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": member.identifier,
                "IsClusterWriter": item.is_primary
                and item.writer is item.instances[member.identifier],
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": member.tier,
            }
            for member in spec.instances
        ],
    }
    if spec.database:
        answer["DatabaseName"] = spec.database
    if spec.master:
        answer["MasterUsername"] = spec.master
    if group is not None:
        answer["GlobalClusterIdentifier"] = group.spec.identifier
    return answer


def instance(item: Cluster, one: Instance, endpoints: Endpoints) -> Answer:
    """Return a DBInstance."""
    spec = next(member for member in item.spec.instances if member.identifier == one.member)
    is_up = one.is_running and not item.is_held(one.place)
    return {
        "DBInstanceIdentifier": one.member,
        "DBInstanceClass": spec.instance_class,
        "DBInstanceArn": spec.arn,
        "DbiResourceId": spec.resource_id,
        "DBInstanceStatus": "available" if is_up else "failed",
        "DBClusterIdentifier": item.spec.identifier,
        "AvailabilityZone": one.place,
        "Engine": item.spec.engine,
        "EngineVersion": item.spec.engine_version,
        "PromotionTier": spec.tier,
        "Endpoint": {
            "Address": endpoints.get((item.spec.name, one.member), ""),
            "Port": item.spec.port,
        },
    }


def global_cluster(group: GlobalCluster) -> Answer:
    """Return a GlobalCluster; FailoverState is there while something is under way only."""
    spec = group.spec
    primary = group.primary
    answer: Answer = {
        "GlobalClusterIdentifier": spec.identifier,
        "GlobalClusterResourceId": spec.resource_id,
        "GlobalClusterArn": spec.arn,
        "Status": group.state,
        "Engine": spec.engine,
        "EngineVersion": spec.engine_version,
        "GlobalClusterMembers": [
            {
                "DBClusterArn": item.spec.arn,
                "IsWriter": item is primary,
                "Readers": [other.spec.arn for other in group.members if other is not item]
                if item is primary
                else [],
                "GlobalWriteForwardingStatus": "disabled",
                **_synchronization(group, item),
            }
            for item in group.members
        ],
    }
    if group.change is not None:
        answer["FailoverState"] = {
            "Status": group.change.status,
            "FromDbClusterArn": group.change.source,
            "ToDbClusterArn": group.change.target,
            "IsDataLossAllowed": group.change.is_data_loss_allowed,
        }
    return answer


def parameter(name: str, value: str | None, source: str) -> Answer:
    """Return a Parameter."""
    answer: Answer = {
        "ParameterName": name,
        "Source": source,
        "ApplyType": "dynamic",
        "IsModifiable": True,
    }
    return answer if value is None else {**answer, "ParameterValue": value}


def snapshot(item: Snapshot, of: Cluster, account: str) -> Answer:
    """Return a DBClusterSnapshot."""
    place = f"arn:{partition(item.region)}:rds:{item.region}:{account}"
    return {
        "DBClusterSnapshotIdentifier": item.identifier,
        "DBClusterSnapshotArn": f"{place}:cluster-snapshot:{item.identifier}",
        "DBClusterIdentifier": item.cluster,
        "SnapshotCreateTime": item.taken_at,
        "SnapshotType": item.kind,
        "Status": "available",
        "PercentProgress": 100,
        "Engine": of.spec.engine,
        "EngineVersion": of.spec.engine_version,
        "Port": of.spec.port,
    }


def _synchronization(group: GlobalCluster, item: Cluster) -> Answer:
    """Tell for a secondary whether it follows; the API has no such word for the primary."""
    if item is group.primary:
        return {}
    follows = any(item.tending.look_of(one).is_streaming for one in item.instances.values())
    return {"SynchronizationStatus": "connected" if follows else "pending-resync"}

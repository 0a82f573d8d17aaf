"""Aurora clusters, their instances, and which of them follows another region's.

It is separate because what a standby is has one answer here and is asked in many rules.
"""

from __future__ import annotations

from evertill.assembly import Model, Resource, Value
from evertill.checks.views.records import RECORD, balancers_behind

CLUSTER = "AWS::RDS::DBCluster"
INSTANCE = "AWS::RDS::DBInstance"
GLOBAL_CLUSTER = "AWS::RDS::GlobalCluster"
# What a cluster begins with, if not with another region's data.
ORIGINS = (
    "MasterUsername",
    "ManageMasterUserPassword",
    "SnapshotIdentifier",
    "SourceDBClusterIdentifier",
    "ReplicationSourceIdentifier",
)


def is_aurora(resource: Resource) -> bool:
    """Tell whether a cluster or instance is one of Aurora."""
    return (resource.text("Engine") or "").startswith("aurora")


def begins_empty(cluster: Resource) -> bool:
    """Tell whether a cluster has no user and no data of its own: it must follow another."""
    return not any(cluster.has(origin) for origin in ORIGINS)


def is_secondary(cluster: Resource) -> bool:
    """Tell whether a cluster joins a global cluster as a follower."""
    return cluster.has("GlobalClusterIdentifier") and begins_empty(cluster)


def global_of(model: Model, cluster: Resource) -> Value:
    """Return the global cluster that a cluster joins or begins, None when it is alone."""
    joined = cluster.get("GlobalClusterIdentifier")
    if joined is not None:
        return joined
    for whole in model.resources_of(GLOBAL_CLUSTER):
        source = model.find(whole.get("SourceDBClusterIdentifier"), CLUSTER, region=whole.region)
        if source is cluster:
            return whole.reference
    return None


def instances_of(model: Model, cluster: Resource) -> list[Resource]:
    """Return the instances of a cluster."""
    return [
        instance
        for instance in model.resources_of(INSTANCE)
        if model.find(instance.get("DBClusterIdentifier"), CLUSTER, region=cluster.region)
        == cluster
    ]


def failover_regions(model: Model, role: str) -> set[str]:
    """Return the regions whose load balancers stand behind failover records of that role."""
    return {
        balancer.region
        for record in model.resources_of(RECORD)
        if record.text("Failover") == role
        for target in (record.get("AliasTarget.DNSName"), *record.items("ResourceRecords"))
        for balancer in balancers_behind(model, target)
        if balancer.region
    }


def standby_regions(model: Model) -> set[str]:
    """Return the regions that take over when another is lost."""
    clusters = model.resources_of(CLUSTER)
    followers = {c.region for c in clusters if is_secondary(c) and c.region}
    leaders = {c.region for c in clusters if not begins_empty(c)}
    leaders |= failover_regions(model, "PRIMARY")
    return (followers | failover_regions(model, "SECONDARY")) - leaders

"""From the model to database clusters: instances, zones, roles, and whom each may be asked by.

It is separate because Aurora is many resources: a cluster, its instances, its subnets, a parameter
group, and a global cluster that it may join. Nothing here is ours: a template of anybody's that
AWS would take means the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.assembly.model import as_text
from evertill.twin.addresses import Addresses, local_port
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.database_specs import ClusterSpec, GlobalSpec, MemberSpec
from evertill.twin.plan.identity import arn_of, physical_name, value_of
from evertill.twin.plan.places import Places

CLUSTER: Final = "AWS::RDS::DBCluster"
INSTANCE: Final = "AWS::RDS::DBInstance"
GLOBAL: Final = "AWS::RDS::GlobalCluster"
GROUP: Final = "AWS::RDS::DBClusterParameterGroup"
SUBNETS: Final = "AWS::RDS::DBSubnetGroup"
SECRET: Final = "AWS::SecretsManager::Secret"  # noqa: S105 - a type's name
ENGINE: Final = "aurora-postgresql"
DEFAULT_PORT: Final = 5432
# The instances and copies of the log that a cluster has at least: one lost leaves a quorum.
COPIES_MIN: Final = 3
DYNAMIC: Final = "{{resolve:secretsmanager:"
FORCE_SSL: Final = "rds.force_ssl"
# From this major version on a cluster takes no connection without TLS unless told otherwise.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Security.html
FORCE_SSL_SINCE: Final = 17
# What makes a cluster from something that the twin does not have.
ELSEWHERE: Final = (
    "SnapshotIdentifier",
    "SourceDBClusterIdentifier",
    "ReplicationSourceIdentifier",
)


class DatabaseUnsupported(TwinError):
    """The twin cannot run this database."""

    code = "database_unsupported"


class DatabasePlan(msgspec.Struct, frozen=True):
    """The clusters of all regions and the global clusters that join them."""

    clusters: tuple[ClusterSpec, ...]
    globals: tuple[GlobalSpec, ...]


def plan_databases(
    model: Model, bindings: Bindings, places: Places, addresses: Addresses
) -> DatabasePlan:
    """Return the databases of `model`; raise DatabaseUnsupported for what cannot be run."""
    for instance in model.resources_of(INSTANCE):
        if model.find(instance.get("DBClusterIdentifier"), CLUSTER, region=instance.region) is None:
            message = f"{instance} belongs to no Aurora cluster; the twin runs Aurora only."
            raise DatabaseUnsupported(message)
    clusters = tuple(
        _cluster(model, resource, bindings, places, addresses)
        for resource in model.resources_of(CLUSTER)
    )
    clusters = tuple(msgspec.structs.replace(c, owner=_owner(c, clusters)) for c in clusters)
    groups = tuple(_global(item, clusters) for item in model.resources_of(GLOBAL))
    joined = {name for group in groups for name in group.members}
    for cluster in clusters:
        if not cluster.master and cluster.name not in joined:
            message = f"{cluster.name} has no first user and joins no global cluster."
            raise DatabaseUnsupported(message)
    return DatabasePlan(clusters, groups)


def _cluster(
    model: Model, resource: Resource, bindings: Bindings, places: Places, addresses: Addresses
) -> ClusterSpec:
    region = str(resource.region)
    if resource.text("Engine") != ENGINE:
        message = f"{resource} is {resource.text('Engine')}; the twin runs {ENGINE} only."
        raise DatabaseUnsupported(message)
    for name in ELSEWHERE:
        if resource.has(name):
            message = f"{resource} is made from what its {name} names, which the twin has not."
            raise DatabaseUnsupported(message)
    if resource.flag("ManageMasterUserPassword"):
        message = f"{resource} leaves its password to RDS, which the twin does not do."
        raise DatabaseUnsupported(message)
    instances = tuple(_instances(model, resource, bindings, places, addresses))
    if not instances:
        message = f"{resource} has no instance."
        raise DatabaseUnsupported(message)
    name = physical_name(resource)
    version = resource.text("EngineVersion") or ""
    parameters = _parameters(model, resource, bindings)
    return ClusterSpec(
        region=region,
        identifier=name,
        arn=str(arn_of(resource)),
        resource_id=str(value_of(resource, "DBClusterResourceId")),
        engine=ENGINE,
        engine_version=version,
        port=local_port(int(resource.number("Port", DEFAULT_PORT) or DEFAULT_PORT)),
        instances=instances,
        logs=tuple(_logs(name, region, instances, places, addresses)),
        database=resource.text("DatabaseName") or "",
        master=_master(model, resource),
        password=_password(resource, bindings),
        iam=resource.flag("EnableIAMDatabaseAuthentication") is True,
        force_ssl=_forces_ssl(parameters, version),
        parameter_group=_parameter_group(model, resource, bindings),
        parameters=parameters,
        global_identifier=_joined(model, resource),
    )


def _instances(
    model: Model, cluster: Resource, bindings: Bindings, places: Places, addresses: Addresses
) -> Iterator[MemberSpec]:
    zones = zones_of(model, cluster, places)
    found = [
        item
        for item in model.resources_of(INSTANCE)
        if model.find(item.get("DBClusterIdentifier"), CLUSTER, region=item.region) is cluster
    ]
    for index, item in enumerate(found):
        zone = _zone(item.get("AvailabilityZone"), bindings, places) or zones[index % len(zones)]
        name = physical_name(item)
        yield MemberSpec(
            identifier=name,
            zone=zone,
            host=addresses.take(zone, f"{name} to its writer"),
            port=DEFAULT_PORT,
            # Without one, an instance has the second highest priority.
            tier=int(item.number("PromotionTier", 1) or 0),
            instance_class=item.text("DBInstanceClass") or "",
            arn=str(arn_of(item)),
            resource_id=str(value_of(item, "DbiResourceId")),
        )


def _logs(
    name: str,
    region: str,
    instances: Sequence[MemberSpec],
    places: Places,
    addresses: Addresses,
) -> Iterator[MemberSpec]:
    """Give the copies of the log in zones without an instance, as many as make a quorum.

    Aurora's storage lies in three zones of the region, whatever zones the network has; what is
    missing in the templates is a place of the region itself.
    """
    used = {item.zone for item in instances}
    free = [zone for zone in places.regions[region] if zone not in used]
    wanted = max(0, COPIES_MIN - len(used))
    for zone in [*free, *[region] * COPIES_MIN][:wanted]:
        log = f"{name}-log-{zone}"
        host = addresses.take(zone, f"{log} to its writer")
        yield MemberSpec(identifier=log, zone=zone, host=host, port=DEFAULT_PORT)


def zones_of(model: Model, cluster: Resource, places: Places) -> tuple[str, ...]:
    """Return the zones that a cluster's instances may be in."""
    group = model.find(cluster.get("DBSubnetGroupName"), SUBNETS, region=cluster.region)
    zones = places.zones(group.items("SubnetIds")) if group is not None else ()
    return zones or places.regions[str(cluster.region)] or (str(cluster.region),)


def _zone(value: Value, bindings: Bindings, places: Places) -> str:
    """Return the zone that an instance asks for, also where it asks for that of a subnet."""
    if isinstance(value, Reference) and value.attribute == "AvailabilityZone":
        return places.zone(value)
    return "" if value is None else bindings.text(value)


def _master(model: Model, cluster: Resource) -> str:
    """Return the first user's name, which may be written in the secret with the password."""
    value = cluster.get("MasterUsername")
    secret = next((r for r in model.referred_by(value) if r.type == SECRET), None)
    if secret is None:
        return as_text(value) or ""
    template = secret.text("GenerateSecretString.SecretStringTemplate") or "{}"
    try:
        named = json.loads(template).get("username", "")
    except (ValueError, AttributeError):
        named = ""
    if not named:
        message = f"{cluster} takes its first user's name from {secret}, which does not name one."
        raise DatabaseUnsupported(message)
    return str(named)


def _owner(cluster: ClusterSpec, clusters: Sequence[ClusterSpec]) -> str:
    """Return the first user of a cluster, or of the one that it is a copy of."""
    world = cluster.global_identifier
    others = (item.master for item in clusters if world and item.global_identifier == world)
    return cluster.master or next(filter(None, others), "")


def _password(cluster: Resource, bindings: Bindings) -> str:
    value = cluster.get("MasterUserPassword")
    return "" if value is None else bindings.text(value)


def _parameter_group(model: Model, cluster: Resource, bindings: Bindings) -> str:
    value = cluster.get("DBClusterParameterGroupName")
    group = model.find(value, GROUP, region=cluster.region)
    if group is not None:
        return group.text("DBClusterParameterGroupName") or physical_name(group)
    if value is not None:
        return bindings.text(value)
    major = (cluster.text("EngineVersion") or "").partition(".")[0]
    return f"default.{ENGINE}{major}"


def _parameters(model: Model, cluster: Resource, bindings: Bindings) -> dict[str, str]:
    value = cluster.get("DBClusterParameterGroupName")
    group = model.find(value, GROUP, region=cluster.region)
    given = group.get("Parameters") if group is not None else None
    if not isinstance(given, dict):
        return {}
    return {name: bindings.text(item) for name, item in given.items()}


def _forces_ssl(parameters: dict[str, str], version: str) -> bool:
    major = version.partition(".")[0]
    default = major.isdecimal() and int(major) >= FORCE_SSL_SINCE
    return parameters.get(FORCE_SSL, "1" if default else "0") in {"1", "true", "on"}


def _joined(model: Model, cluster: Resource) -> str:
    """Return the identifier of the global cluster that a cluster joins, if any."""
    value = cluster.get("GlobalClusterIdentifier")
    if value is None:
        sources = [
            item
            for item in model.resources_of(GLOBAL)
            if model.find(item.get("SourceDBClusterIdentifier"), CLUSTER) is cluster
        ]
        return physical_name(sources[0]) if sources else ""
    joined = model.find(value, GLOBAL)
    if joined is None:
        message = f"{cluster} joins {value}, a global cluster that the templates do not have."
        raise DatabaseUnsupported(message)
    return physical_name(joined)


def _global(resource: Resource, clusters: Sequence[ClusterSpec]) -> GlobalSpec:
    identifier = physical_name(resource)
    members = [item for item in clusters if item.global_identifier == identifier]
    firsts = [item.name for item in members if item.master]
    if members and len(firsts) != 1:
        message = (
            f"{resource} needs one member that brings the first user, and has "
            f"{' and '.join(firsts) or 'none'}."
        )
        raise DatabaseUnsupported(message)
    return GlobalSpec(
        identifier=identifier,
        arn=str(arn_of(resource)),
        resource_id=str(value_of(resource, "GlobalClusterResourceId") or identifier),
        engine=ENGINE,
        engine_version=resource.text("EngineVersion") or "",
        members=tuple(sorted((m.name for m in members), key=lambda name: name not in firsts)),
    )

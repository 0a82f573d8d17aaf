"""A region's Aurora PostgreSQL cluster, as one member of the global database.

It is separate because it is the one place that works around the CDK: there is no construct for a
global database (aws/aws-cdk#22212). Both clusters join the empty global cluster by its identifier,
and no template says which of them writes (decision 0010). `rds.global_db_rpo` is in no template
either: recovery owns it (decision 0012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from evertill.infrastructure.names import (
    DATABASE_ADMIN,
    DATABASE_NAME,
    DATABASE_PORT,
    DATABASE_USER,
    Names,
)
from evertill.infrastructure.network import RETENTIONS
from evertill.infrastructure.settings import DatabaseSettings

ACTIVE_INSTANCES: Final = 2
LOG_EXPORT: Final = "postgresql"
LOG_DAYS: Final = 90
MONITORING_INTERVAL_S: Final = 60
# Quiet hours of both regions; nothing of ours is scheduled in them.
BACKUP_WINDOW: Final = "07:00-08:00"
MAINTENANCE_WINDOW: Final = "sun:08:30-sun:09:30"
PARAMETERS: Final = {
    # A connection without TLS is refused, whoever asks.
    "rds.force_ssl": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    # What a statement was and how long it took, for those over a second; all changes of schema.
    "log_min_duration_statement": "1000",
    "log_statement": "ddl",
    # A session that was left open in a transaction holds locks that payments wait for.
    "idle_in_transaction_session_timeout": "30000",
}
INSIGHTS: Final = {
    7: (rds.DatabaseInsightsMode.STANDARD, rds.PerformanceInsightRetention.DEFAULT),
    465: (rds.DatabaseInsightsMode.ADVANCED, rds.PerformanceInsightRetention.MONTHS_15),
}


@dataclass(frozen=True, slots=True)
class Database:
    """A region's cluster, and what its callers need to know of it."""

    cluster: rds.DatabaseCluster
    identifier: str
    writer_host: str
    reader_host: str
    resource_id: str
    admin_secret: secretsmanager.ISecret
    port: int = DATABASE_PORT
    name: str = DATABASE_NAME
    user: str = DATABASE_USER


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster goes: its region's network, group and key."""

    vpc: ec2.Vpc
    group: ec2.SecurityGroup
    key: kms.Key


def build_primary(
    scope: Construct, names: Names, settings: DatabaseSettings, place: Place, peer: str | None
) -> Database:
    """Return the cluster that begins as the writer's, with the admin's secret in both regions."""
    secret = _build_secret(scope, names, place.key, peer)
    cluster = _build_cluster(
        scope,
        names,
        settings,
        place,
        credentials=rds.Credentials.from_secret(secret, DATABASE_ADMIN),
        default_database_name=DATABASE_NAME,
    )
    # A single region joins too: a cluster that exists cannot be made to join by its template, so a
    # standby could otherwise never be added (decision 0010).
    _join(cluster, names)
    return _described(scope, cluster, names)


def build_secondary(
    scope: Construct, names: Names, settings: DatabaseSettings, place: Place
) -> Database:
    """Return the cluster that begins as a reader: logins and data come by replication."""
    cluster = _build_cluster(scope, names, settings, place)
    resource = _join(cluster, names)
    # A secondary is refused when it brings logins of its own; the construct makes them anyway:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attaching.html
    resource.add_property_deletion_override("MasterUsername")
    resource.add_property_deletion_override("MasterUserPassword")
    cluster.node.try_remove_child("Secret")
    return _described(scope, cluster, names)


def _join(cluster: rds.DatabaseCluster, names: Names) -> rds.CfnDBCluster:
    resource = cast("rds.CfnDBCluster", cluster.node.default_child)
    resource.add_property_override("GlobalClusterIdentifier", names.global_database)
    return resource


def _build_secret(
    scope: Construct, names: Names, key: kms.Key, peer: str | None
) -> secretsmanager.Secret:
    """Return the admin's secret; RDS itself manages none for a member of a global database.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html
    """
    secret = secretsmanager.Secret(
        scope,
        "AdminSecret",
        secret_name=names.admin_secret,
        description="The database's admin, for migrations only; the service logs in by IAM",
        encryption_key=key,
        generate_secret_string=secretsmanager.SecretStringGenerator(
            secret_string_template=f'{{"username": "{DATABASE_ADMIN}"}}',
            generate_string_key="password",
            exclude_characters=" %+~`#$&*()|[]{}:;<>?!'/@\"\\",
            password_length=40,
        ),
        removal_policy=RemovalPolicy.RETAIN,
    )
    if peer is not None:
        resource = cast("secretsmanager.CfnSecret", secret.node.default_child)
        # By alias, because the other region's key has an id that nobody knows before it exists.
        resource.replica_regions = [
            secretsmanager.CfnSecret.ReplicaRegionProperty(region=peer, kms_key_id=names.key_alias)
        ]
    return secret


def _build_cluster(
    scope: Construct,
    names: Names,
    settings: DatabaseSettings,
    place: Place,
    *,
    credentials: rds.Credentials | None = None,
    default_database_name: str | None = None,
) -> rds.DatabaseCluster:
    engine = _engine(settings)
    mode, retention = INSIGHTS[settings.insights_days]
    numbers = range(len(instance_names(names)))
    members = [_member(settings, names, place, number) for number in numbers]
    log_group = _build_log_group(scope, names, place.key)
    cluster = rds.DatabaseCluster(
        scope,
        "Database",
        engine=engine,
        cluster_identifier=names.database,
        credentials=credentials,
        default_database_name=default_database_name,
        writer=members[0],
        readers=members[1:],
        vpc=place.vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        security_groups=[place.group],
        port=DATABASE_PORT,
        parameter_group=_build_parameters(scope, names, settings, engine),
        iam_authentication=True,
        storage_encrypted=True,
        storage_encryption_key=place.key,
        backup=rds.BackupProps(
            retention=Duration.days(settings.backup_days), preferred_window=BACKUP_WINDOW
        ),
        preferred_maintenance_window=MAINTENANCE_WINDOW,
        copy_tags_to_snapshot=True,
        cloudwatch_logs_exports=[LOG_EXPORT],
        database_insights_mode=mode,
        enable_performance_insights=True,
        performance_insight_retention=retention,
        performance_insight_encryption_key=place.key,
        monitoring_interval=Duration.seconds(MONITORING_INTERVAL_S),
        # An LTS minor stays what it is: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Updates.LTS.html
        auto_minor_version_upgrade=False,
        # One instance after the other, so that an update never takes both.
        instance_update_behaviour=rds.InstanceUpdateBehaviour.ROLLING,
        deletion_protection=True,
        removal_policy=RemovalPolicy.RETAIN,
    )
    cluster.node.add_dependency(log_group)
    return cluster


def instance_names(names: Names) -> list[str]:
    """Return the identifiers of a region's instances: a writer and a reader, or what stands by."""
    settings = names.settings
    standby = settings.database.standby_instances
    count = ACTIVE_INSTANCES if settings.is_active(names.region) else standby
    return [f"{names.database}-{number + 1}" for number in range(count)]


def _engine(settings: DatabaseSettings) -> rds.IClusterEngine:
    version = settings.engine_version
    return rds.DatabaseClusterEngine.aurora_postgres(
        version=rds.AuroraPostgresEngineVersion.of(version, version.partition(".")[0])
    )


def _member(
    settings: DatabaseSettings, names: Names, place: Place, number: int
) -> rds.IClusterInstance:
    """Return one instance; they are numbered, because which of them writes changes."""
    _, retention = INSIGHTS[settings.insights_days]
    return rds.ClusterInstance.provisioned(
        f"Instance{number + 1}",
        instance_identifier=instance_names(names)[number],
        instance_type=ec2.InstanceType(settings.instance_class),
        # Each in a zone of its own: a zone's loss leaves one that can write.
        availability_zone=_zone(place.vpc, number),
        auto_minor_version_upgrade=False,
        publicly_accessible=False,
        enable_performance_insights=True,
        performance_insight_retention=retention,
        performance_insight_encryption_key=place.key,
        # The newest authority; the service's trust store is RDS's bundle of all of them.
        ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
        # Equal tiers: any of them may be promoted, since all are of one size.
        promotion_tier=0 if number == 0 else 1,
    )


def _zone(vpc: ec2.Vpc, number: int) -> str:
    """Return the zone of a subnet as the subnet itself tells it, so that the two cannot differ."""
    subnet = cast("ec2.CfnSubnet", vpc.isolated_subnets[number].node.default_child)
    return subnet.attr_availability_zone


def _build_parameters(
    scope: Construct, names: Names, settings: DatabaseSettings, engine: rds.IClusterEngine
) -> rds.ParameterGroup:
    """Return a group of the region's own: a new primary inherits none from the old one."""
    major = settings.engine_version.partition(".")[0]
    return rds.ParameterGroup(
        scope,
        "Parameters",
        engine=engine,
        # The family is in the name, so that an upgrade can make the next group beside this one.
        name=f"{names.database}-{major}",
        description=f"Evertill {names.suffix}: what both clusters of the global database keep to",
        parameters=PARAMETERS,
    )


def _build_log_group(scope: Construct, names: Names, key: kms.Key) -> logs.LogGroup:
    """Return the group that RDS writes to; made by RDS itself it would keep everything for ever."""
    return logs.LogGroup(
        scope,
        "DatabaseLog",
        log_group_name=f"/aws/rds/cluster/{names.database}/{LOG_EXPORT}",
        retention=RETENTIONS[LOG_DAYS],
        encryption_key=key,
        removal_policy=RemovalPolicy.RETAIN,
    )


def _described(scope: Construct, cluster: rds.DatabaseCluster, names: Names) -> Database:
    # By name in both regions: the standby's replica shares the name, while the end of its ARN is
    # random. Whoever reads it needs the region's key as well.
    secret = secretsmanager.Secret.from_secret_name_v2(
        scope, "AdminSecretByName", names.admin_secret
    )
    return Database(
        cluster=cluster,
        identifier=names.database,
        writer_host=cluster.cluster_endpoint.hostname,
        reader_host=cluster.cluster_read_endpoint.hostname,
        resource_id=cluster.cluster_resource_identifier,
        admin_secret=secret,
    )


def build_global(scope: Construct, names: Names, settings: DatabaseSettings) -> None:
    """Add the empty global cluster, which both clusters join by its identifier."""
    resource = rds.CfnGlobalCluster(
        scope,
        "GlobalDatabase",
        global_cluster_identifier=names.global_database,
        engine="aurora-postgresql",
        engine_version=settings.engine_version,
        storage_encrypted=True,
        deletion_protection=True,
    )
    resource.apply_removal_policy(RemovalPolicy.RETAIN)

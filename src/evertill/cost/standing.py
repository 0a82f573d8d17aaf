"""What stands there all month, whether anybody pays or not: counted per type of resource.

It is separate from `usage` because these quantities are read from the templates and are not
assumptions. Every type of resource is either counted here, or known to cost nothing by itself, or
reported as not priced; none is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_number, child
from evertill.cost.prices import HOURS_PER_MONTH

CPU_UNITS_PER_VCPU: Final = 1024
MIB_PER_GIB: Final = 1024
HIGH_RESOLUTION_S: Final = 60
FAST_CHECK_S: Final = 10
ONE: Final = Decimal(1)
# Instances cost so much more where I/O costs nothing:
# https://www.wring.co/blog/aws-aurora-pricing-guide, read on 2026-11-22.
IO_OPTIMIZED_FACTOR: Final = Decimal("1.30")
# An instance's vCPUs by the size in its class's name.
VCPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}

FREE_TYPES: Final = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Backup::BackupPlan",
        "AWS::Backup::BackupSelection",
        "AWS::CDK::Metadata",
        "AWS::CertificateManager::Certificate",
        "AWS::EC2::EIP",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::ECS::TaskDefinition",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerCertificate",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::ResourcePolicy",
        "AWS::RDS::DBClusterParameterGroup",
        "AWS::RDS::DBParameterGroup",
        "AWS::RDS::DBSubnetGroup",
        "AWS::RDS::GlobalCluster",
        "AWS::Route53::RecordSet",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SecretsManager::ResourcePolicy",
        "AWS::SecretsManager::SecretTargetAttachment",
        "AWS::WAFv2::WebACLAssociation",
        "Custom::VpcRestrictDefaultSG",
    }
)
"""What costs nothing by itself; an address is counted where it is used."""

USAGE_TYPES: Final = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::Backup::BackupVault",
        "AWS::DynamoDB::GlobalTable",
        "AWS::EC2::FlowLog",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
        "AWS::RDS::DBCluster",
        "AWS::S3::Bucket",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::WAFv2::LoggingConfiguration",
    }
)
"""What costs by use alone; `usage` prices it or the estimate names it as left out."""


class NotTold(Exception):
    """The templates do not tell how much of something there will be."""


class Line(msgspec.Struct, frozen=True):
    """One line of an estimate: so many units of one price, in one region."""

    component: str
    region: str | None
    price: str
    quantity: Decimal


Counted = Iterator[tuple[str, str, Decimal]]
"""The component, the price's name and the quantity."""


def count(resource: Resource, model: Model) -> list[Line] | None:
    """Return a resource's lines, none when it costs nothing standing, None when it is unknown.

    Raises NotTold for a quantity that the templates leave open.
    """
    counted: Iterable[tuple[str, str, Decimal]]
    if resource.type in _COUNTERS:
        counted = _COUNTERS[resource.type](resource)
    elif resource.type in _COUNTERS_AMONG_OTHERS:
        counted = _COUNTERS_AMONG_OTHERS[resource.type](resource, model)
    elif resource.type in _ALWAYS:
        counted = _ALWAYS[resource.type]
    elif resource.type in FREE_TYPES or resource.type in USAGE_TYPES:
        counted = ()
    else:
        return None
    return [
        Line(component, resource.region, price, quantity) for component, price, quantity in counted
    ]


def is_io_optimized(resource: Resource) -> bool:
    """Tell whether a database cluster pays for its instances and storage instead of for I/O."""
    return resource.get("StorageType") == "aurora-iopt1"


def _hours(number: int | Decimal) -> Decimal:
    return Decimal(number) * HOURS_PER_MONTH


def _told(resource: Resource, path: str, default: int | None = None) -> Decimal:
    number = resource.number(path, default)
    if number is None:
        message = f"{resource} does not tell its {path}, without which there is no estimate."
        raise NotTold(message)
    return Decimal(str(number))


def _instance(resource: Resource, model: Model) -> Counted:
    size = str(resource.get("DBInstanceClass"))
    factor = _hours(1)
    cluster = model.resource(resource.get("DBClusterIdentifier"))
    if cluster is not None and is_io_optimized(cluster):
        factor *= IO_OPTIMIZED_FACTOR
    yield "Aurora instances", f"aurora_{size}_hour", factor
    either = [one for one in (resource, cluster) if one is not None]
    modes = [one.get("DatabaseInsightsMode") for one in either if one.has("DatabaseInsightsMode")]
    if modes[:1] == ["advanced"]:
        vcpus = VCPUS[size.rpartition(".")[2]]
        yield "Database Insights", "database_insights_vcpu_hour", _hours(vcpus)


def _service(resource: Resource, model: Model) -> Counted:
    """Count the tasks that always run: the lower bound of the service's scaling."""
    task = model.resource(resource.get("TaskDefinition"))
    if task is None:
        message = f"{resource} runs a task that these templates do not define."
        raise NotTold(message)
    scaling = model.referrers(resource, "AWS::ApplicationAutoScaling::ScalableTarget")
    tasks = _told(scaling[0], "MinCapacity") if scaling else _told(resource, "DesiredCount", 1)
    vcpus = _told(task, "Cpu") / CPU_UNITS_PER_VCPU
    memory_gib = _told(task, "Memory") / MIB_PER_GIB
    yield "Fargate, at its floor", "fargate_arm_vcpu_hour", _hours(tasks * vcpus)
    yield "Fargate, at its floor", "fargate_arm_gib_hour", _hours(tasks * memory_gib)


def _endpoint(resource: Resource) -> Counted:
    if resource.get("VpcEndpointType") == "Interface":
        zones = len(resource.items("SubnetIds"))
        yield "Interface endpoints", "interface_endpoint_hour", _hours(zones)


def _balancer(resource: Resource) -> Counted:
    yield "Load balancer", "alb_hour", _hours(1)
    # One address in each zone.
    addresses = len(resource.items("Subnets"))
    yield "Load balancer", "public_ipv4_hour", _hours(addresses)


def _firewall(resource: Resource) -> Counted:
    yield "Firewall", "waf_acl_month", Decimal(1)
    yield "Firewall", "waf_rule_month", Decimal(len(resource.items("Rules")))


def _secret(resource: Resource) -> Counted:
    copies = len(resource.items("ReplicaRegions"))
    yield "Keys and secrets", "secret_month", Decimal(1 + copies)


def _alarm(resource: Resource) -> Counted:
    stats = [child(metric, "MetricStat") for metric in resource.items("Metrics")]
    periods = [as_number(child(stat, "Period"), HIGH_RESOLUTION_S) for stat in stats]
    periods.append(resource.number("Period", HIGH_RESOLUTION_S))
    is_fast = any(period is not None and period < HIGH_RESOLUTION_S for period in periods)
    kind = "alarm_high_resolution_month" if is_fast else "alarm_month"
    metrics = sum(stat is not None for stat in stats)
    yield "Alarms and dashboards", kind, Decimal(metrics or 1)


def _health_check(resource: Resource) -> Counted:
    features = [
        str(resource.get("HealthCheckConfig.Type")).startswith("HTTPS"),
        resource.number("HealthCheckConfig.RequestInterval") == FAST_CHECK_S,
        bool(resource.flag("HealthCheckConfig.MeasureLatency")),
        resource.has("HealthCheckConfig.SearchString"),
    ]
    yield "DNS", "health_check_month", Decimal(1)
    yield "DNS", "health_check_feature_month", Decimal(sum(features))


_ALWAYS: Final = {
    "AWS::CloudWatch::CompositeAlarm": [("Alarms and dashboards", "alarm_composite_month", ONE)],
    "AWS::CloudWatch::Dashboard": [("Alarms and dashboards", "dashboard_month", ONE)],
    "AWS::EC2::NatGateway": [
        ("NAT gateways", "nat_gateway_hour", ONE * HOURS_PER_MONTH),
        ("NAT gateways", "public_ipv4_hour", ONE * HOURS_PER_MONTH),
    ],
    "AWS::KMS::Key": [("Keys and secrets", "kms_key_month", ONE)],
    "AWS::Route53::HostedZone": [("DNS", "hosted_zone_month", ONE)],
}
"""What each resource of a type costs, whatever its properties."""

_COUNTERS: Final[Mapping[str, Callable[[Resource], Counted]]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::Route53::HealthCheck": _health_check,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::WAFv2::WebACL": _firewall,
}

_COUNTERS_AMONG_OTHERS: Final[Mapping[str, Callable[[Resource, Model], Counted]]] = {
    "AWS::ECS::Service": _service,
    "AWS::RDS::DBInstance": _instance,
}
"""Whose quantities stand in other resources too."""

"""A region's network: three zones, three kinds of subnet, and who may speak to whom.

It is one module because the security groups only make sense beside the subnets that they are for.
The endpoints, which cost and are therefore a choice of their own, are in `endpoints`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from evertill.infrastructure.names import (
    DATABASE_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    SERVICE_PORT,
    Names,
)
from evertill.infrastructure.settings import NetworkSettings, RegionSettings

# How much longer each kind's prefix is than the network's: in a /16, tasks get 8,190 addresses in
# each zone, the load balancer and the NAT gateway 1,022, the database 254.
PUBLIC_BITS: Final = 6
PRIVATE_BITS: Final = 3
ISOLATED_BITS: Final = 8
RETENTIONS: Final = {
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
}


@dataclass(frozen=True, slots=True)
class SecurityGroups:
    """Who may speak to whom; what is not said here is closed."""

    balancer: ec2.SecurityGroup
    tasks: ec2.SecurityGroup
    function: ec2.SecurityGroup
    database: ec2.SecurityGroup
    endpoints: ec2.SecurityGroup


def build_vpc(
    scope: Construct, names: Names, region: RegionSettings, network: NetworkSettings, key: kms.Key
) -> ec2.Vpc:
    """Return the network of a region over its three zones."""
    prefix = IPv4Network(region.cidr).prefixlen
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        vpc_name=names.vpc,
        ip_addresses=ec2.IpAddresses.cidr(region.cidr),
        # Named, never counted: counting asks AWS, and without an account it finds two.
        availability_zones=list(region.zones),
        nat_gateways=network.nat_gateways,
        restrict_default_security_group=True,
        subnet_configuration=[
            _subnets("public", ec2.SubnetType.PUBLIC, prefix + PUBLIC_BITS),
            _subnets("private", ec2.SubnetType.PRIVATE_WITH_EGRESS, prefix + PRIVATE_BITS),
            _subnets("isolated", ec2.SubnetType.PRIVATE_ISOLATED, prefix + ISOLATED_BITS),
        ],
    )
    _log_flows(vpc, names, network.flow_log_days, key)
    return vpc


def _subnets(name: str, kind: ec2.SubnetType, prefix: int) -> ec2.SubnetConfiguration:
    # A load balancer and a NAT gateway bring their own addresses; nothing else gets a public one.
    public = False if kind == ec2.SubnetType.PUBLIC else None
    return ec2.SubnetConfiguration(
        name=name, subnet_type=kind, cidr_mask=prefix, map_public_ip_on_launch=public
    )


def _log_flows(vpc: ec2.Vpc, names: Names, days: int, key: kms.Key) -> None:
    group = logs.LogGroup(
        vpc,
        "Flows",
        log_group_name=f"/evertill/{names.suffix}/flows",
        retention=RETENTIONS[days],
        encryption_key=key,
        removal_policy=RemovalPolicy.RETAIN,
    )
    vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group))


def build_groups(scope: Construct, vpc: ec2.Vpc) -> SecurityGroups:
    """Return the security groups, with every rule that there is."""
    groups = SecurityGroups(
        balancer=_group(scope, "Balancer", vpc, "The load balancer: the only way in"),
        tasks=_group(scope, "Tasks", vpc, "The containers of the service"),
        function=_group(scope, "Function", vpc, "The validation function"),
        database=_group(scope, "Database", vpc, "The database: it answers and never calls"),
        endpoints=_group(scope, "Endpoints", vpc, "The interface endpoints of AWS services"),
    )
    _let_in(groups)
    _let_out(groups)
    return groups


def _group(scope: Construct, name: str, vpc: ec2.Vpc, description: str) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        scope, f"{name}Group", vpc=vpc, description=description, allow_all_outbound=False
    )


def _let_in(groups: SecurityGroups) -> None:
    anyone = ec2.Peer.any_ipv4()
    groups.balancer.add_ingress_rule(anyone, ec2.Port.tcp(HTTPS_PORT), "Clients")
    groups.balancer.add_ingress_rule(anyone, ec2.Port.tcp(HTTP_PORT), "Clients to be redirected")
    pairs = (
        (groups.balancer, groups.tasks, SERVICE_PORT, "Requests"),
        (groups.tasks, groups.database, DATABASE_PORT, "Queries of the service"),
        (groups.function, groups.database, DATABASE_PORT, "Queries of the validation"),
        (groups.tasks, groups.endpoints, HTTPS_PORT, "Calls of the service to AWS"),
        (groups.function, groups.endpoints, HTTPS_PORT, "Calls of the validation to AWS"),
    )
    for caller, callee, port, why in pairs:
        # This opens both ends: the callee's way in and the caller's way out.
        callee.connections.allow_from(caller, ec2.Port.tcp(port), why)


def _let_out(groups: SecurityGroups) -> None:
    # Webhooks go to merchants, wherever they are; gateway endpoints have public addresses too.
    for caller in (groups.tasks, groups.function):
        caller.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS_PORT), "AWS and webhooks")

"""The network: three zones, closed groups, and nothing that leads to the database but two ways."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from tests.support.assembly import Assembly

REGIONS = ("us-east-1", "us-east-2")
SUBNET = "AWS::EC2::Subnet"


@pytest.mark.parametrize("region", REGIONS)
def test_subnets_of_three_kinds_lie_in_exactly_three_zones(assembly: Assembly, region: str) -> None:
    subnets = assembly.properties(f"network-{region}", SUBNET)
    zones = sorted(subnet["AvailabilityZone"] for subnet in subnets)
    assert sorted([f"{region}{letter}" for letter in "abc"] * 3) == zones


@pytest.mark.parametrize("region", REGIONS)
def test_no_subnet_gives_public_addresses(assembly: Assembly, region: str) -> None:
    subnets = assembly.properties(f"network-{region}", SUBNET)
    assert {False} == {subnet.get("MapPublicIpOnLaunch", False) for subnet in subnets}


def test_subnets_of_a_region_lie_in_its_network_and_beside_each_other(prod: Assembly) -> None:
    vpc = IPv4Network(prod.only("network-us-east-1", "AWS::EC2::VPC")["CidrBlock"])
    subnets = prod.properties("network-us-east-1", SUBNET)
    networks = [IPv4Network(subnet["CidrBlock"]) for subnet in subnets]
    assert all(network.subnet_of(vpc) for network in networks)
    pairs = [(a, b) for a in networks for b in networks if a is not b]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_the_regions_could_be_joined(assembly: Assembly) -> None:
    active, standby = (
        IPv4Network(assembly.only(f"network-{region}", "AWS::EC2::VPC")["CidrBlock"])
        for region in REGIONS
    )
    assert not active.overlaps(standby)


def test_production_has_a_nat_gateway_in_each_zone(prod: Assembly, dev: Assembly) -> None:
    for region in REGIONS:
        assert 3 == len(prod.resources(f"network-{region}", "AWS::EC2::NatGateway"))
        assert 1 == len(dev.resources(f"network-{region}", "AWS::EC2::NatGateway"))


def test_the_isolated_subnets_lead_nowhere(prod: Assembly) -> None:
    routes = prod.resources("network-us-east-1", "AWS::EC2::Route")
    assert 6 == len(routes)
    assert not [name for name in routes if "isolated" in name.lower()]


@pytest.mark.parametrize("region", REGIONS)
def test_the_default_group_is_closed_and_flows_are_logged(assembly: Assembly, region: str) -> None:
    stack = f"network-{region}"
    assert 1 == len(assembly.resources(stack, "Custom::VpcRestrictDefaultSG"))
    assert "ALL" == assembly.only(stack, "AWS::EC2::FlowLog")["TrafficType"]


def test_tables_and_objects_are_reached_without_a_nat_gateway(prod: Assembly) -> None:
    endpoints = prod.properties("network-us-east-2", "AWS::EC2::VPCEndpoint")
    kinds = sorted(endpoint["VpcEndpointType"] for endpoint in endpoints)
    assert ["Gateway"] * 2 + ["Interface"] * 7 == kinds
    inside = [e for e in endpoints if e["VpcEndpointType"] == "Interface"]
    assert {3} == {len(endpoint["SubnetIds"]) for endpoint in inside}


def _ways(assembly: Assembly, kind: str) -> set[tuple[str, str, int]]:
    """Return (from or to, group, port) of each rule, groups by their short names."""
    template = assembly.template("network-us-east-1")["Resources"]
    found = set()
    for name, resource in template.items():
        properties: dict[str, Any] = resource.get("Properties", {})
        if resource["Type"] == f"AWS::EC2::SecurityGroup{kind}":
            other = "SourceSecurityGroupId" if kind == "Ingress" else "DestinationSecurityGroupId"
            found.add(
                (
                    _short(properties[other]["Fn::GetAtt"][0]),
                    _short(properties["GroupId"]["Fn::GetAtt"][0]),
                    properties["FromPort"],
                )
            )
        if resource["Type"] == "AWS::EC2::SecurityGroup":
            found |= {
                (rule["CidrIp"], _short(name), rule.get("FromPort"))
                for rule in properties.get(f"SecurityGroup{kind}", [])
            }
    return found


def _short(logical_id: str) -> str:
    return logical_id.partition("Group")[0].lower()


def test_these_are_all_the_ways_in(assembly: Assembly) -> None:
    assert {
        ("0.0.0.0/0", "balancer", 443),
        ("0.0.0.0/0", "balancer", 80),
        ("balancer", "tasks", 8080),
        ("tasks", "database", 5432),
        ("function", "database", 5432),
        ("tasks", "endpoints", 443),
        ("function", "endpoints", 443),
    } == _ways(assembly, "Ingress")


def test_the_database_and_the_endpoints_call_nobody(assembly: Assembly) -> None:
    out = _ways(assembly, "Egress")
    # The CDK writes "nowhere" as one address that nobody has, for a protocol that means nothing.
    nowhere = {(cidr, port) for cidr, group, port in out if group in {"database", "endpoints"}}
    assert {("255.255.255.255/32", 252)} == nowhere

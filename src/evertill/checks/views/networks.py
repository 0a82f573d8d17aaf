"""Subnets, their routes and zones, and which security groups let whom through.

It is separate because reachability is asked by several rules and answered with three values: yes,
no, and not to be known (None). Where a rule of a group is not known, the way counts as open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from evertill.assembly import Model, Resource, Unknown, Value
from evertill.assembly.model import as_number, as_text, child

GROUP = "AWS::EC2::SecurityGroup"
INGRESS = "AWS::EC2::SecurityGroupIngress"
EGRESS = "AWS::EC2::SecurityGroupEgress"
SUBNET = "AWS::EC2::Subnet"
ROUTE = "AWS::EC2::Route"
NAT = "AWS::EC2::NatGateway"
ASSOCIATION = "AWS::EC2::SubnetRouteTableAssociation"
EVERYWHERE = {"0.0.0.0/0", "::/0"}
TCP = {"tcp", "6", "-1"}
ADDRESSES = ("CidrIp", "CidrIpv6", "DestinationPrefixListId", "SourcePrefixListId")


class Opening(msgspec.Struct, frozen=True):
    """One rule of a security group: tcp ports, and the other end as the template names it."""

    first: float | None
    last: float | None
    properties: Value

    def covers(self, port: float) -> bool:
        """Tell whether the port is open, taking what is not known for open."""
        return (self.first is None or self.first <= port) and (
            self.last is None or port <= self.last
        )


def groups(model: Model, values: Iterable[Value]) -> list[Resource] | None:
    """Return the security groups, None when one of them is not in the assembly."""
    found = [model.resource(value) for value in values]
    known = [group for group in found if group is not None and group.type == GROUP]
    return known if known and len(known) == len(found) else None


def ingress_of(model: Model, group: Resource) -> Iterator[Opening]:
    """Give the rules that let tcp into a group."""
    yield from _openings(group.items("SecurityGroupIngress"))
    for rule in model.referrers(group, INGRESS):
        if model.resource(rule.get("GroupId")) == group:
            yield from _openings([rule.properties])


def egress_of(model: Model, group: Resource) -> list[Opening] | None:
    """Return the rules that let tcp out of a group, None when everything may leave."""
    inline = group.get("SecurityGroupEgress")
    if not isinstance(inline, list):
        return None
    openings = list(_openings(inline))
    for rule in model.referrers(group, EGRESS):
        if model.resource(rule.get("GroupId")) == group:
            openings += _openings([rule.properties])
    return openings


def lets_through(
    model: Model, sources: list[Resource], targets: list[Resource], port: float
) -> bool:
    """Tell whether something in `sources` may open a tcp connection to something in `targets`."""
    enters = any(
        opening.covers(port) and _names(model, opening, "SourceSecurityGroupId", sources)
        for group in targets
        for opening in ingress_of(model, group)
    )
    return enters and any(_leaves(model, source, targets, port) for source in sources)


def is_public(opening: Opening) -> bool:
    """Tell whether a rule lets the whole internet in."""
    return any(
        as_text(child(opening.properties, key)) in EVERYWHERE for key in ("CidrIp", "CidrIpv6")
    )


def default_route(model: Model, subnet: Resource) -> tuple[bool, Resource | None]:
    """Return whether a subnet's route table is known, and its route to the internet if it has one.

    Without an association a subnet uses the VPC's main table, which no template describes.
    """
    tables = [
        model.resource(association.get("RouteTableId"))
        for association in model.referrers(subnet, ASSOCIATION)
        if model.resource(association.get("SubnetId")) == subnet
    ]
    if len(tables) != 1 or tables[0] is None:
        return False, None
    routes = model.referrers(tables[0], ROUTE)
    defaults = [route for route in routes if route.text("DestinationCidrBlock") == "0.0.0.0/0"]
    return True, defaults[0] if defaults else None


def subnets(model: Model, values: Iterable[Value]) -> list[Resource] | None:
    """Return the subnets, None when one of them is not in the assembly."""
    found = [model.resource(value) for value in values]
    known = [subnet for subnet in found if subnet is not None and subnet.type == SUBNET]
    return known if known and len(known) == len(found) else None


def zones(found: Iterable[Resource]) -> set[str] | None:
    """Return the zones of subnets, as they are named, None when one leaves the choice to AWS."""
    named = [subnet.get("AvailabilityZone") or subnet.get("AvailabilityZoneId") for subnet in found]
    return None if None in named else {str(zone) for zone in named}


def _openings(rules: Iterable[Value]) -> Iterator[Opening]:
    for rule in rules:
        protocol = as_text(child(rule, "IpProtocol"))
        if isinstance(rule, Unknown) or protocol is None:
            yield Opening(None, None, rule)
        elif protocol.lower() in TCP:
            everything = protocol == "-1"
            first = None if everything else as_number(child(rule, "FromPort"))
            last = None if everything else as_number(child(rule, "ToPort"))
            yield Opening(first, last, rule)


def _leaves(model: Model, source: Resource, targets: list[Resource], port: float) -> bool:
    openings = egress_of(model, source)
    return openings is None or any(
        opening.covers(port) and _names(model, opening, "DestinationSecurityGroupId", targets)
        for opening in openings
    )


def _names(model: Model, opening: Opening, key: str, ends: list[Resource]) -> bool:
    """Tell whether the other end of a rule is one of `ends`; addresses may be anyone's."""
    other = child(opening.properties, key)
    if other is None:
        addresses = [child(opening.properties, address) for address in ADDRESSES]
        # The CDK writes a closed group's egress as a rule to an address that nobody has.
        return any(address not in {None, "255.255.255.255/32"} for address in addresses)
    group = model.resource(other)
    return group is None or group in ends

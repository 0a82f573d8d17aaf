"""VPCs that may be peered have addresses that do not overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import combinations

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report

VPC = "AWS::EC2::VPC"
# What two networks meet in.
MEETINGS = (
    "AWS::EC2::VPCPeeringConnection",
    "AWS::EC2::TransitGatewayAttachment",
    "AWS::EC2::TransitGatewayVpcAttachment",
)
Network = ipaddress.IPv4Network


def check(model: Model) -> Iterator[Report]:
    """Compare the networks of different regions, and those that something connects.

    https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html
    """
    for one, other in combinations(model.resources_of(VPC), 2):
        first, second = _network(one), _network(other)
        if first is None or second is None or not first.overlaps(second):
            continue
        apart = one.region and other.region and one.region != other.region
        if (apart and one.account == other.account) or _meet(model, one, other):
            yield Report(
                other,
                f"Its addresses ({second}) overlap those of {one} ({first}): the two can never be "
                "peered, and no address can be moved later.",
                "Give each region a block of its own.",
            )


def _network(vpc: Resource) -> Network | None:
    try:
        return Network(vpc.text("CidrBlock") or "")
    except ValueError:
        return None


def _meet(model: Model, one: Resource, other: Resource) -> bool:
    return any(
        other in model.referred_by(item.properties) for item in model.referrers(one, *MEETINGS)
    )

"""The way out survives the loss of a zone: a private subnet uses its own zone's NAT gateway."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.networks import NAT, SUBNET, default_route, zones


def check(model: Model) -> Iterator[Report]:
    """Compare the zone of each subnet with that of the NAT gateway behind its default route.

    https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html
    """
    for subnet in model.resources_of(SUBNET):
        _, route = default_route(model, subnet)
        gateway = model.resource(route.get("NatGatewayId")) if route else None
        if gateway is None or gateway.type != NAT:
            continue
        home = model.resource(gateway.get("SubnetId"))
        here, there = zones([subnet]), zones([home]) if home else None
        if here and there and here != there:
            yield Report(
                subnet,
                f"It is in {', '.join(here)} and leaves through {gateway.logical_id} in "
                f"{', '.join(there)}: when that zone is lost, this one is cut off too.",
                "Give each zone a NAT gateway, and each private subnet a route to its own.",
            )

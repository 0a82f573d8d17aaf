"""Where things are: regions, zones, and the zone of each subnet.

It is separate because every concern places something, and all must agree on where a subnet lies.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.twin.addresses import PLACES_PER_REGION
from evertill.twin.errors import TwinError

SUBNET: Final = "AWS::EC2::Subnet"
# `use1-az2`: which letter that is differs from account to account, so any fixed order will do.
ZONE_ID: Final = re.compile(r"-az(\d)$")


class PlaceUnknown(TwinError):
    """The templates do not tell which zone something is in."""

    code = "place_unknown"


class Places(msgspec.Struct, frozen=True):
    """The zones by region, and the zone of each subnet by its reference."""

    regions: dict[str, tuple[str, ...]]
    subnets: dict[Reference, str]

    def zone(self, subnet: Value) -> str:
        """Return the zone of `subnet`, a reference to one; raise PlaceUnknown."""
        if isinstance(subnet, Reference):
            known = self.subnets.get(Reference(subnet.stack, subnet.logical_id))
            if known is not None:
                return known
        message = f"{subnet} is no subnet of these templates, so nothing can be placed there."
        raise PlaceUnknown(message)

    def zones(self, subnets: Iterable[Value]) -> tuple[str, ...]:
        """Return the zones of several subnets, each once, in their order."""
        return tuple(dict.fromkeys(self.zone(subnet) for subnet in subnets))

    def region_of_zones(self) -> dict[str, str]:
        """Return the region of each zone, as `Links` takes it."""
        return {zone: region for region, zones in self.regions.items() for zone in zones}


def places_of(model: Model) -> Places:
    """Return the places of `model`, which `read_model` made; raise PlaceUnknown."""
    zones: dict[str, list[str]] = defaultdict(list)
    subnets: dict[Reference, str] = {}
    for subnet in model.resources_of(SUBNET):
        zone = _zone(subnet)
        subnets[subnet.reference] = zone
        if zone not in zones[str(subnet.region)]:
            zones[str(subnet.region)].append(zone)
    for region, found in zones.items():
        if len(found) >= PLACES_PER_REGION:
            message = f"{region} has {len(found)} zones; the twin has room for fewer."
            raise PlaceUnknown(message)
    return Places({region: tuple(sorted(zones[region])) for region in model.regions}, subnets)


def _zone(subnet: Resource) -> str:
    named = subnet.get("AvailabilityZone")
    if isinstance(named, str):
        return named
    numbered = ZONE_ID.search(subnet.text("AvailabilityZoneId") or "")
    if numbered is not None:
        return f"{subnet.region}{'abcdefghi'[int(numbered[1]) - 1]}"
    message = f"{subnet} does not say which zone it is in."
    raise PlaceUnknown(message)

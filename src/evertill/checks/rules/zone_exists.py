"""A subnet's zone is one of its own region."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.networks import SUBNET


def check(model: Model) -> Iterator[Report]:
    """Look for the CDK's stand-ins (dummy1a) and for another region's zones.

    https://docs.aws.amazon.com/cdk/v2/guide/context.html tells where the stand-ins come from.
    """
    for subnet in model.resources_of(SUBNET):
        zone = subnet.text("AvailabilityZone")
        is_foreign = subnet.region and zone and not zone.startswith(subnet.region)
        if zone and (is_foreign or zone.startswith("dummy")):
            yield Report(
                subnet,
                f"There is no zone {zone} in {subnet.region or 'any region'}: the subnet cannot be "
                "created.",
                "Name the region's zones, in the context or in the settings.",
            )

"""From a folder to a model in which nothing is left open that the twin decides itself.

It is separate because a cloud assembly may leave its account, its region and its zones to the
deployment, and the twin is one: without them every ARN and every subnet would be unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from evertill.assembly import Model, build, read_stacks
from evertill.twin.plan.bindings import ACCOUNT

# Where a stack that names no region is run.
DEFAULT_REGION: Final = "us-east-1"
# Every region has three zones or more; `Fn::Select` may ask for more in these two.
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
ZONE_LETTERS: Final = {"us-east-1": "abcdef", "us-west-2": "abcd"}
USUAL_LETTERS: Final = "abc"


def read_model(path: Path) -> Model:
    """Return the model of the assembly at `path`, with an account, regions and zones.

    Raises AssemblyUnreadable or TemplateMalformed.
    """
    stacks = [
        msgspec.structs.replace(
            stack, region=stack.region or DEFAULT_REGION, account=stack.account or ACCOUNT
        )
        for stack in read_stacks(path)
    ]
    regions = {stack.region for stack in stacks if stack.region}
    return build(stacks, {region: zones_of_region(region) for region in regions})


def zones_of_region(region: str) -> tuple[str, ...]:
    """Return the zones that `Fn::GetAZs` gives in `region`."""
    return tuple(region + letter for letter in ZONE_LETTERS.get(region, USUAL_LETTERS))

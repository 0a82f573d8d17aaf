"""How much an assembly may hold, in one place: templates are other people's files.

The first group is CloudFormation's own quotas with room to spare; the second keeps a few hundred
bytes of intrinsics from growing into gigabytes of text.
"""

from __future__ import annotations

from typing import Final

# CloudFormation takes 1 MB and 500 resources in a template.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
FILE_SIZE_MAX_BYTES: Final = 8 * 1024 * 1024
STACKS_MAX: Final = 1_000
RESOURCES_PER_STACK_MAX: Final = 2_000
ASSEMBLY_DEPTH_MAX: Final = 5
JSON_DEPTH_MAX: Final = 100

# A value may lead through this many exports, parameters, conditions and outputs of nested stacks.
INDIRECTIONS_MAX: Final = 20
VALUES_MAX: Final = 2_000_000
TEXT_LENGTH_MAX: Final = 1024 * 1024
SUBNETS_MAX: Final = 256

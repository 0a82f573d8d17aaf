"""CloudFormation's pseudo parameters: what every template may ask of the place it is deployed to.

They are separate because they depend on the environment alone, never on the template.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
"""

from __future__ import annotations

from typing import Final

from evertill.assembly.reading import RawStack
from evertill.assembly.values import Unknown, Value

PREFIX: Final = "AWS::"
PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
DEFAULT_PARTITION: Final = "aws"
# Where no region is named there is no better guess than the partition of nearly all accounts, and
# a guess is needed to compare two ARNs: no rule looks at it alone.
URL_SUFFIXES: Final = {"aws-cn": "amazonaws.com.cn"}
DEFAULT_URL_SUFFIX: Final = "amazonaws.com"


def pseudo_parameter(name: str, stack: RawStack) -> Value:
    """Return what `AWS::...` stands for in `stack`, an Unknown where nothing tells."""
    known = {
        "AWS::Region": stack.region,
        "AWS::AccountId": stack.account,
        "AWS::Partition": partition(stack.region),
        "AWS::URLSuffix": URL_SUFFIXES.get(partition(stack.region), DEFAULT_URL_SUFFIX),
        "AWS::StackName": stack.name,
    }.get(name)
    if known is not None:
        return known
    # The id of a stack is its own; an unnamed account or region is the same for all stacks.
    return Unknown(f"{name} of {stack.stack_id}" if name == "AWS::StackId" else name)


def partition(region: str | None) -> str:
    """Return the partition that `region` lies in."""
    named = region or ""
    return next(
        (name for prefix, name in PARTITIONS.items() if named.startswith(prefix)),
        DEFAULT_PARTITION,
    )

"""The findings of cfn-lint, cdk-nag and checkov that we accept, each narrow and with its reason.

They are tables, and not calls beside the constructs, so that a reader sees all of them at once and
a test can say of each that it is still needed. Rules that name what they found, as
`AwsSolutions-IAM5[Resource::*]` does, are acknowledged with that name and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

CFN_LINT: Final = "cfn-lint"
CDK_NAG: Final = "cdk-nag"
CHECKOV: Final = "checkov"
_CFN_LINT_RULE: Final = re.compile(r"[EW]\d{4}")


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that do not hold at certain constructs, all for one reason."""

    stack: str
    """A pattern for the stacks' ids, because ids hold the region."""
    paths: tuple[str, ...]
    """The constructs' paths within the stack; the resources below each are meant."""
    rules: tuple[str, ...]
    reason: str


class Exemption(msgspec.Struct, frozen=True):
    """One rule of one tool at one construct: the smallest thing that can be acknowledged."""

    tool: str
    rule: str
    stack: str
    path: str
    reason: str


ACKNOWLEDGEMENTS: Final[tuple[Acknowledgement, ...]] = ()


def exemptions() -> Iterator[Exemption]:
    """Return all acknowledgements, one rule and one construct at a time."""
    for one in ACKNOWLEDGEMENTS:
        for path in one.paths:
            for rule in one.rules:
                yield Exemption(tool_of(rule), rule, one.stack, path, one.reason)


def tool_of(rule: str) -> str:
    """Return the name of the tool that a rule belongs to."""
    if rule.startswith("CKV"):
        return CHECKOV
    return CFN_LINT if _CFN_LINT_RULE.fullmatch(rule) else CDK_NAG

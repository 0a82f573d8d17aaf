"""Runs cdk-nag's packs over the app and acknowledges what we accept.

It is separate because cdk-nag reads the construct tree and not the templates, so this module alone
starts jsii. The PCI pack is that of PCI DSS 3.2.1, which was retired in 2024: passing it says
nothing about version 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import aws_cdk as cdk
import cdk_nag
from constructs import IConstruct

from evertill.audit.findings import Finding
from evertill.infrastructure.acknowledgements import Acknowledgement

PACKS: Final = (
    cdk_nag.AwsSolutionsChecks,
    cdk_nag.NIST80053R5Checks,
    cdk_nag.PCIDSS321Checks,
)


def packs(app: cdk.App) -> list[cdk_nag.NagPack]:
    """Return the packs that the app is held against."""
    return [pack(app) for pack in PACKS]


def validate(app: cdk.App, environment: str) -> Iterator[Finding]:
    """Return what the packs find in the tree of a synthesized app, without what is acknowledged."""
    for pack in packs(app):
        for violation in pack.validate_scope(app).violations:
            for resource in violation.violating_resources:
                place = resource.construct_path or "?"
                rule, message = violation.rule_name, violation.description
                yield Finding(environment, "cdk-nag", rule, place, message)


def acknowledge(app: cdk.App, acknowledgements: Sequence[Acknowledgement]) -> None:
    """Acknowledge rules at their constructs, where the app has them."""
    for one in acknowledgements:
        for construct in _found(app, one):
            cdk.Validations.of(construct).acknowledge(
                cdk.Acknowledgment(id=one.rule, reason=one.reason)
            )


def _found(app: cdk.App, one: Acknowledgement) -> Iterator[IConstruct]:
    for stack in app.node.children:
        if not fnmatchcase(stack.node.id, one.stack):
            continue
        construct: IConstruct | None = stack
        for step in one.path.split("/"):
            construct = construct and construct.node.try_find_child(step)
        if construct is not None:
            yield construct

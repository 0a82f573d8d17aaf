"""Runs cdk-nag's packs over the app.

It is separate because cdk-nag reads the construct tree and not the templates, so this module alone
starts jsii. The PCI pack is that of PCI DSS 3.2.1, which was retired in 2024: passing it says
nothing about version 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import aws_cdk as cdk
import cdk_nag

from evertill.audit.findings import Finding

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

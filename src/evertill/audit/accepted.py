"""Everything that the audit accepts: the app's acknowledgements, and those of the IAM checks.

The latter are separate because neither parliament nor cloudsplaining can be told in a template.
"""

from __future__ import annotations

from typing import Final

from evertill.audit.findings import Acceptance
from evertill.infrastructure.acknowledgements import exemptions
from evertill.infrastructure.settings import Settings

_PULLED: Final = (
    "ECS pulls the image with this token; it opens the one repository that is named beside it."
)
_JOINED: Final = (
    "Lambda makes the function's interfaces with it, which know no narrower resource; the "
    "function's own code is denied it."
)
POLICIES: Final = (
    (
        "parliament",
        "UNKNOWN_CONDITION_FOR_ACTION",
        "data-*",
        ("TransactionLog/CopyRole/Resource",),
        (
            "parliament does not know kms:ResourceAliases, by which the role is held to one key: "
            "https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"
        ),
    ),
    (
        "cloudsplaining",
        "credentials_exposure[ecr:GetAuthorizationToken]",
        "service-*",
        ("Compute/Task/StartRole/DefaultPolicy/Resource",),
        _PULLED,
    ),
    (
        "cloudsplaining",
        "credentials_exposure[ecr:GetAuthorizationToken]",
        "migration-*",
        ("Migration/Task/StartRole/DefaultPolicy/Resource",),
        _PULLED,
    ),
    (
        "parliament",
        "UNKNOWN_CONDITION_FOR_ACTION",
        "service-*",
        ("Validation/Role/DefaultPolicy/Resource",),
        (
            "parliament does not know lambda:SourceFunctionArn, by which the function's code is "
            "denied its interfaces: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html"
        ),
    ),
    (
        "parliament",
        "RESOURCE_STAR",
        "service-*",
        ("Validation/Role/DefaultPolicy/Resource",),
        _JOINED,
    ),
    *(
        (
            "cloudsplaining",
            f"write_actions_without_constraints[ec2:{action}]",
            "service-*",
            ("Validation/Role/DefaultPolicy/Resource",),
            _JOINED,
        )
        for action in (
            "AssignPrivateIpAddresses",
            "CreateNetworkInterface",
            "DeleteNetworkInterface",
            "UnassignPrivateIpAddresses",
        )
    ),
)
"""Tool, rule, stack, the constructs' paths, and the reason."""


def accepted(settings: Settings) -> list[Acceptance]:
    """Return everything that is accepted in an environment."""
    of_policies = [
        Acceptance(tool, rule, stack, path, reason, rule)
        for tool, rule, stack, paths, reason in POLICIES
        for path in paths
    ]
    return [*exemptions(settings), *of_policies]

"""The policies of every role in the templates, by the role's ARN.

It is separate because a role's rights are written in four kinds of resource, and because of the
policies that AWS manages itself: those that templates use are listed here with what matters of
them; one that is not listed grants nothing, and is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_list
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.identity import arn_of
from evertill.twin.policies import Statement

ROLE: Final = "AWS::IAM::Role"
POLICY: Final = "AWS::IAM::Policy"
MANAGED: Final = "AWS::IAM::ManagedPolicy"
MANAGED_BY_AWS: Final = ":iam::aws:policy/"

TAKEN_BY: Final = ("ecs-tasks.amazonaws.com", "lambda.amazonaws.com")

_LOGS: Final = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_NETWORK: Final = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
_PULL: Final = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
)
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "service-role/AWSLambdaBasicExecutionRole": _LOGS,
    "service-role/AWSLambdaVPCAccessExecutionRole": (*_LOGS, *_NETWORK),
    "service-role/AmazonECSTaskExecutionRolePolicy": _PULL,
    "AWSXRayDaemonWriteAccess": ("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    "AdministratorAccess": ("*",),
}


class Policies(msgspec.Struct, frozen=True):
    """The statements by the ARN of a role, and the managed policies that nobody knows here."""

    statements: dict[str, tuple[Statement, ...]]
    unknown: tuple[str, ...]


def policies_of(model: Model, bindings: Bindings) -> Policies:
    """Return what every role of `model` may do."""
    found: dict[str, list[Statement]] = defaultdict(list)
    unknown: list[str] = []
    for role in model.resources_of(ROLE):
        own = found[str(arn_of(role))]
        for policy in role.items("Policies"):
            if isinstance(policy, dict):
                own.extend(_statements(policy.get("PolicyDocument"), bindings))
        for value in role.items("ManagedPolicyArns"):
            custom = model.find(value, MANAGED)
            if custom is not None:
                own.extend(_statements(custom.get("PolicyDocument"), bindings))
                continue
            name = bindings.text(value).partition(MANAGED_BY_AWS)[2]
            if name in KNOWN:
                own.append(Statement(is_allow=True, actions=KNOWN[name], resources=("*",)))
            elif _is_ours_to_take(role):
                unknown.append(f"{role} uses the policy {name}, which grants nothing here.")
    for separate in model.resources_of(POLICY, MANAGED):
        for role in _roles(model, separate):
            found[str(arn_of(role))].extend(_statements(separate.get("PolicyDocument"), bindings))
    return Policies({arn: tuple(items) for arn, items in found.items()}, tuple(unknown))


def _is_ours_to_take(role: Resource) -> bool:
    """Tell whether something that runs here takes a role, rather than a service of AWS."""
    trusted = str(role.get("AssumeRolePolicyDocument"))
    return any(service in trusted for service in TAKEN_BY)


def _roles(model: Model, policy: Resource) -> Iterator[Resource]:
    for value in policy.items("Roles"):
        role = model.find(value, ROLE)
        if role is not None:
            yield role


def _statements(document: Value, bindings: Bindings) -> Iterator[Statement]:
    if not isinstance(document, dict):
        return
    for item in as_list(document.get("Statement")):
        if isinstance(item, dict):
            yield Statement(
                is_allow=item.get("Effect") == "Allow",
                actions=_texts(item.get("Action"), bindings),
                not_actions=_texts(item.get("NotAction"), bindings),
                resources=_texts(item.get("Resource"), bindings),
                not_resources=_texts(item.get("NotResource"), bindings),
                conditions=tuple(_conditions(item.get("Condition"), bindings)),
            )


def _conditions(value: Value, bindings: Bindings) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if not isinstance(value, dict):
        return
    for operator, keys in value.items():
        if isinstance(keys, dict):
            for key, wanted in keys.items():
                yield operator, key, _texts(wanted, bindings)


def _texts(value: Value, bindings: Bindings) -> tuple[str, ...]:
    return tuple(bindings.text(item) for item in as_list(value))

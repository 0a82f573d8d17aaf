"""Writes what `acknowledgements` lists into the construct tree, in each tool's own way.

It is separate because the list is data that needs no CDK. cdk-nag reads acknowledgements from the
tree; cfn-lint and checkov read them from a resource's metadata in the template, so whoever runs
these tools on `cdk.out` finds the reasons there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from aws_cdk import Acknowledgment, App, CfnResource, Validations
from constructs import IConstruct

from evertill.infrastructure.acknowledgements import (
    CDK_NAG,
    CFN_LINT,
    CHECKOV,
    Exemption,
)


def acknowledge(app: App, listed: Iterable[Exemption]) -> None:
    """Acknowledge every rule at its construct, where the app has it."""
    skipped: dict[str, tuple[CfnResource, list[Exemption]]] = {}
    for one in listed:
        for construct in _found(app, one):
            if one.tool == CDK_NAG:
                reason = Acknowledgment(id=one.rule, reason=one.reason)
                Validations.of(construct).acknowledge(reason)
                continue
            for resource in _resources(construct):
                skipped.setdefault(resource.node.path, (resource, []))[1].append(one)
    for resource, ones in skipped.values():
        _write(resource, ones)


def _write(resource: CfnResource, ones: Iterable[Exemption]) -> None:
    # https://github.com/aws-cloudformation/cfn-lint#resource-based-metadata
    ignored = [one.rule for one in ones if one.tool == CFN_LINT]
    # https://www.checkov.io/2.Basics/Suppressing%20and%20Skipping%20Policies.html
    skipped = [{"id": one.rule, "comment": one.reason} for one in ones if one.tool == CHECKOV]
    if ignored:
        resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ignored}})
    if skipped:
        resource.add_metadata("checkov", {"skip": skipped})


def _found(app: App, one: Exemption) -> Iterator[IConstruct]:
    for stack in app.node.children:
        if not fnmatchcase(stack.node.id, one.stack):
            continue
        construct: IConstruct | None = stack
        for step in one.path.split("/"):
            construct = construct and construct.node.try_find_child(step)
        if construct is not None:
            yield construct


def _resources(construct: IConstruct) -> Iterator[CfnResource]:
    for child in construct.node.find_all():
        if CfnResource.is_cfn_resource(child) and isinstance(child, CfnResource):
            yield child

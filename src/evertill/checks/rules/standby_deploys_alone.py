"""A stack deploys while every other region is down: it needs nothing from there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evertill.assembly import Model, Resource, Stack
from evertill.assembly.values import imports_in, texts_in
from evertill.checks.findings import Report

# How the CDK carries a value from one region's stack to another's (aws/aws-cdk#27902, #34813).
READER = "Custom::CrossRegionExportReader"
WRITER = "Custom::CrossRegionExportWriter"
# What AwsCustomResource calls, and where.
CALL = re.compile(r'"region":\s*"([a-z]{2}(?:-[a-z]+)+-\d)"')


def check(model: Model) -> Iterator[Report]:
    """Look for every way in which one region's deployment needs another's."""
    for stack in model.stacks:
        yield from _waits(model, stack)
    for resource in model.resources:
        if resource.type in {READER, WRITER}:
            yield Report(
                resource,
                "A value travels between regions through CloudFormation: while one is down, "
                "neither stack can be updated.",
                "Use a name that both regions know beforehand.",
            )
        else:
            yield from _imports(model, resource)
            if resource.type.startswith("Custom::"):
                yield from _calls(resource)


def _waits(model: Model, stack: Stack) -> Iterator[Report]:
    for dependency in stack.dependencies:
        other = model.stack(dependency)
        if other is None or not stack.region or other.region in {None, stack.region}:
            continue
        first = next(iter(stack.resources.values()), None)
        if first is not None:
            yield Report(
                first,
                f"{stack.id} in {stack.region} depends on {other.id} in {other.region}: cdk deploy "
                "starts with the region that is down.",
                "Order the first deployment in a script, not by a dependency.",
            )


def _imports(model: Model, resource: Resource) -> Iterator[Report]:
    for name in sorted(imports_in(resource.properties)):
        elsewhere = [
            stack
            for stack in model.stacks
            if stack.region and stack.region != resource.region
            for output in stack.outputs.values()
            if output.export == name
        ]
        if elsewhere and resource.region:
            yield Report(
                resource,
                f"It imports {name}, which {elsewhere[0].id} exports in {elsewhere[0].region}: "
                f"exports do not leave their region, and {resource.stack} cannot be deployed.",
                "Use a name that both regions know beforehand.",
            )


def _calls(resource: Resource) -> Iterator[Report]:
    for text in texts_in(resource.properties):
        for region in CALL.findall(str(text)):
            if resource.region not in {None, region}:
                yield Report(
                    resource,
                    f"It calls {region} while {resource.region} is deployed: that fails when "
                    f"{region} is down.",
                    "Use a name that is known beforehand instead of looking it up.",
                )
                return

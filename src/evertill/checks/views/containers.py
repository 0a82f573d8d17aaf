"""ECS services, their task definitions and containers, and the environment of anything that runs.

It is separate because half of the rules look at what runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_number, as_text, child

SERVICE = "AWS::ECS::Service"
TASK = "AWS::ECS::TaskDefinition"
FUNCTION = "AWS::Lambda::Function"
ALIASES = ("AWS::Lambda::Alias", "AWS::Lambda::Version")
SCALABLE = "AWS::ApplicationAutoScaling::ScalableTarget"


class Attachment(msgspec.Struct, frozen=True):
    """A container port of a service that a target group sends to."""

    container: str | None
    port: float | None
    target_group: Resource | None


def names_of(model: Model, function: Resource) -> list[Resource]:
    """Return a function with its versions and aliases, under which it is invoked as well."""
    found = [function]
    for known in found:
        named = model.referrers(known, *ALIASES)
        found += [alias for alias in named if alias not in found]
    return found


def task_of(model: Model, service: Resource) -> Resource | None:
    """Return the task definition of a service, None when it is not in the assembly."""
    return model.find(service.get("TaskDefinition"), TASK, region=service.region)


def containers_of(task: Resource) -> list[Value]:
    """Return the container definitions of a task."""
    return task.items("ContainerDefinitions")


def ports_of(container: Value) -> set[float] | None:
    """Return the ports that a container listens on, None when some are not known."""
    mappings = child(container, "PortMappings")
    if mappings is None:
        return set()
    if not isinstance(mappings, list):
        return None
    ports = {as_number(child(mapping, "ContainerPort")) for mapping in mappings}
    return None if None in ports else {port for port in ports if port is not None}


def attachments_of(model: Model, service: Resource) -> Iterator[Attachment]:
    """Give the target groups that a service registers its tasks with."""
    for item in service.items("LoadBalancers"):
        yield Attachment(
            as_text(child(item, "ContainerName")),
            as_number(child(item, "ContainerPort")),
            model.resource(child(item, "TargetGroupArn")),
        )


def groups_of(resource: Resource) -> list[Value]:
    """Return the security groups of a service or a function."""
    if resource.type == FUNCTION:
        return resource.items("VpcConfig.SecurityGroupIds")
    return resource.items("NetworkConfiguration.AwsvpcConfiguration.SecurityGroups")


def subnets_of(resource: Resource) -> list[Value]:
    """Return the subnets of a service or a function."""
    if resource.type == FUNCTION:
        return resource.items("VpcConfig.SubnetIds")
    return resource.items("NetworkConfiguration.AwsvpcConfiguration.Subnets")


def environment_of(resource: Resource) -> Iterator[tuple[str, Value]]:
    """Give the environment variables of a function, or of all containers of a task."""
    variables = resource.get("Environment.Variables")
    if resource.type == FUNCTION and isinstance(variables, dict):
        yield from variables.items()
    if resource.type == TASK:
        for container in containers_of(resource):
            listed = child(container, "Environment")
            for variable in listed if isinstance(listed, list) else []:
                name = as_text(child(variable, "Name"))
                if name:
                    yield name, child(variable, "Value")


def secrets_of(task: Resource) -> Iterator[tuple[str, Value]]:
    """Give the variables of a task's containers that are filled from secrets, and from which."""
    for container in containers_of(task):
        listed = child(container, "Secrets")
        for secret in listed if isinstance(listed, list) else []:
            name = as_text(child(secret, "Name"))
            if name:
                yield name, child(secret, "ValueFrom")


def scaling_of(model: Model, service: Resource) -> Resource | None:
    """Return the autoscaling target of a service, found by what its resource id refers to."""
    for target in model.resources_of(SCALABLE):
        if target.region == service.region:
            resource_id = target.get("ResourceId")
            if service in model.referred_by(resource_id):
                return target
            if _ends_with_name(resource_id, service):
                return target
    return None


def _ends_with_name(resource_id: Value, service: Resource) -> bool:
    name = service.name
    tail = str(resource_id).rpartition("/")[2]
    return isinstance(name, str) and str(resource_id).startswith("service/") and tail == name

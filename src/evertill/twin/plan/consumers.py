"""Who uses things: every service, task and function, once for each zone that it may run in.

It is separate because the planners of what is used (databases, balancers) need the list before the
planner of services makes its own specifications.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.places import Places
from evertill.twin.registry import CUSTOM

SERVICE: Final = "AWS::ECS::Service"
TASK: Final = "AWS::ECS::TaskDefinition"
FUNCTION: Final = "AWS::Lambda::Function"
NETWORK: Final = "NetworkConfiguration.AwsvpcConfiguration"


class Consumer(msgspec.Struct, frozen=True):
    """Something that runs in a zone; a function outside of a network has its region as zone."""

    region: str
    zone: str
    thing: str
    groups: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        """Return the name under which bindings are made for it."""
        return consumer_name(self.region, self.zone, self.thing)


class Network(msgspec.Struct, frozen=True):
    """Where something runs: its zones and its security groups."""

    zones: tuple[str, ...]
    groups: tuple[Value, ...]


def consumer_name(region: str, zone: str, thing: str) -> str:
    """Return the name of a consumer."""
    return f"{region}/{zone}/{thing}"


def consumers_of(model: Model, places: Places) -> tuple[Consumer, ...]:
    """Return every consumer of `model`; raise PlaceUnknown."""
    return tuple(
        Consumer(str(resource.region), zone, physical_name(resource), network.groups)
        for resource, network in _running(model, places)
        for zone in network.zones
    )


def network_of_service(service: Resource, places: Places) -> Network:
    """Return where a service runs its tasks."""
    return Network(
        places.zones(service.items(f"{NETWORK}.Subnets")),
        tuple(service.items(f"{NETWORK}.SecurityGroups")),
    )


def network_of_task(model: Model, task: Resource, places: Places) -> Network:
    """Return where a task that no service runs would run: beside the services of its stack.

    No template says it: whoever runs such a task names subnets and groups in the call.
    """
    services = [item for item in model.resources_of(SERVICE) if item.region == task.region]
    services.sort(key=lambda item: item.stack != task.stack)
    if services:
        return network_of_service(services[0], places)
    return Network(places.regions[str(task.region)], ())


def task_of(model: Model, service: Resource) -> Resource | None:
    """Return the task definition that a service runs, None when it is not in the templates."""
    return model.find(service.get("TaskDefinition"), TASK, region=service.region)


def loose_tasks(model: Model) -> tuple[Resource, ...]:
    """Return the task definitions that no service runs: migrations and the like."""
    used = [task_of(model, service) for service in model.resources_of(SERVICE)]
    return tuple(task for task in model.resources_of(TASK) if task not in used)


def functions_of(model: Model) -> tuple[Resource, ...]:
    """Return the functions that run, leaving out those that only serve a deployment.

    These are named by the `ServiceToken` of custom resources, and nobody calls them afterwards.
    """
    providers = {
        provider
        for custom in model.resources
        if custom.type.startswith(CUSTOM)
        for provider in model.referred_by(custom.get("ServiceToken"))
    }
    return tuple(item for item in model.resources_of(FUNCTION) if item not in providers)


def _running(model: Model, places: Places) -> Iterator[tuple[Resource, Network]]:
    for service in model.resources_of(SERVICE):
        yield service, network_of_service(service, places)
    for task in loose_tasks(model):
        yield task, network_of_task(model, task, places)
    for function in functions_of(model):
        subnets = function.items("VpcConfig.SubnetIds")
        zones = places.zones(subnets) or (str(function.region),)
        yield function, Network(zones, tuple(function.items("VpcConfig.SecurityGroupIds")))

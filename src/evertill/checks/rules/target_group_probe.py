"""A target group sends to, and probes, a container and a port that its tasks have."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.containers import (
    SERVICE,
    Attachment,
    attachments_of,
    containers_of,
    ports_of,
    task_of,
)


def check(model: Model) -> Iterator[Report]:
    """Compare each service's target groups with the ports of its task definition."""
    for service in model.resources_of(SERVICE):
        task = task_of(model, service)
        for attachment in attachments_of(model, service):
            if task is not None:
                yield from _attached(service, task, attachment)
            if attachment.target_group is not None and task is not None:
                yield from _probed(attachment.target_group, task)


def _attached(service: Resource, task: Resource, attachment: Attachment) -> Iterator[Report]:
    by_name = {as_text(child(item, "Name")): item for item in containers_of(task)}
    if attachment.container is None or None in by_name:
        return
    if attachment.container not in by_name:
        yield Report(
            service,
            f"{task.logical_id} has no container {attachment.container}: the service cannot be "
            "created.",
            "Name a container of the task definition.",
        )
        return
    ports = ports_of(by_name[attachment.container])
    if attachment.port is not None and ports is not None and attachment.port not in ports:
        yield Report(
            service,
            f"The container {attachment.container} does not map port {attachment.port:g}: the "
            "service cannot be created.",
            "Map the port in the task definition, or send to one that is mapped.",
        )


def _probed(group: Resource, task: Resource) -> Iterator[Report]:
    mapped = [ports_of(container) for container in containers_of(task)]
    ports = {port for some in mapped for port in some or ()}
    probed = group.number("HealthCheckPort")
    if probed is not None and ports and None not in mapped and probed not in ports:
        yield Report(
            group,
            f"It probes port {probed:g}, on which no container of {task.logical_id} listens: ECS "
            "kills every task as unhealthy, again and again.",
            "Leave HealthCheckPort at traffic-port, or probe a port that a container maps.",
        )
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb.html
    if task.text("NetworkMode") == "awsvpc" and group.text("TargetType", "instance") == "instance":
        yield Report(
            group,
            "Tasks with a network interface of their own register by address, and this group takes "
            "instances: the service cannot be created.",
            "Set TargetType to ip.",
        )

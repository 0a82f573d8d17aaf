"""A service is created after the listener that ties its target group to a load balancer."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.balancers import routes_to
from evertill.checks.views.containers import SERVICE, attachments_of

# "The target group ... does not have an associated load balancer" (aws/aws-cdk#4015 and others).
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ecs-service.html


def check(model: Model) -> Iterator[Report]:
    """Follow what each service waits for, and look for one of its group's listeners."""
    for service in model.resources_of(SERVICE):
        for attachment in attachments_of(model, service):
            group = attachment.target_group
            routes = routes_to(model, group) if group is not None else ()
            if group is None or not routes or any(item.stack != service.stack for item in routes):
                continue
            waited_for = _waited_for(model, service)
            if not any(route.logical_id in waited_for for route in routes):
                yield Report(
                    service,
                    f"Nothing makes it wait for a listener of {group.logical_id}: it may be "
                    "created first, and ECS refuses a group without a load balancer.",
                    f"Add DependsOn: {routes[0].logical_id}.",
                )


def _waited_for(model: Model, service: Resource) -> set[str]:
    """Return the logical ids of the service's stack that are created before it."""
    seen: set[str] = set()
    open_ids = [service.logical_id]
    stack = model.stack(service.stack)
    while open_ids and stack is not None:
        resource = stack.resources.get(open_ids.pop())
        if resource is None:
            continue
        named = {ref.logical_id for ref in resource.references if ref.stack == stack.id}
        fresh = (named | set(resource.depends_on)) - seen
        seen |= fresh
        open_ids.extend(fresh)
    return seen

"""A service is created after the listener that ties its target group to a load balancer."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.balancers import routes_to
from evertill.checks.views.containers import SERVICE, attachments_of
from evertill.checks.views.order import created_before

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
            waited_for = created_before(model, service)
            if not any(route.logical_id in waited_for for route in routes):
                yield Report(
                    service,
                    f"Nothing makes it wait for a listener of {group.logical_id}: it may be "
                    "created first, and ECS refuses a group without a load balancer.",
                    f"Add DependsOn: {routes[0].logical_id}.",
                )

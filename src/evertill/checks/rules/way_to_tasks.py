"""A load balancer may reach the port of the tasks that it sends to, and probes."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.balancers import balancers_of
from evertill.checks.views.containers import SERVICE, attachments_of, groups_of
from evertill.checks.views.networks import groups, lets_through


def check(model: Model) -> Iterator[Report]:
    """Walk from each load balancer's security groups to the tasks' behind it."""
    for service in model.resources_of(SERVICE):
        targets = groups(model, groups_of(service))
        for attachment in attachments_of(model, service):
            if attachment.target_group is None or attachment.port is None or not targets:
                continue
            for balancer in balancers_of(model, attachment.target_group):
                sources = groups(model, balancer.items("SecurityGroups"))
                if sources and not lets_through(model, sources, targets, attachment.port):
                    yield Report(
                        service,
                        f"No security group rule lets {balancer.logical_id} reach port "
                        f"{attachment.port:g} of its tasks: all are unhealthy for ever.",
                        "Allow the port from the load balancer's group to the tasks' group, out of "
                        "the one and into the other.",
                    )

"""What serves survives the loss of one zone: it has subnets in two, and enough tasks for both."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.balancers import BALANCER
from evertill.checks.views.containers import SERVICE, scaling_of, subnets_of
from evertill.checks.views.networks import subnets, zones

ZONES_MIN = 2


def check(model: Model) -> Iterator[Report]:
    """Count the zones of services and load balancers, and the tasks that are always there."""
    for resource in model.resources_of(SERVICE, BALANCER):
        named = resource.items("Subnets") if resource.type == BALANCER else subnets_of(resource)
        found = subnets(model, named)
        spread = zones(found) if found else None
        if spread is not None and len(spread) < ZONES_MIN:
            yield Report(
                resource,
                f"All of it is in the zone {', '.join(spread)}: when that is lost, so is the "
                "service.",
                "Give it subnets in at least two zones.",
            )
    for service in model.resources_of(SERVICE):
        yield from _counted(model, service)


def _counted(model: Model, service: Resource) -> Iterator[Report]:
    target = scaling_of(model, service)
    lowest = target.number("MinCapacity") if target else service.number("DesiredCount", 1)
    is_replica = service.text("SchedulingStrategy", "REPLICA") == "REPLICA"
    serves = bool(service.items("LoadBalancers"))
    if lowest is not None and lowest < ZONES_MIN and is_replica and serves:
        few = "one task" if lowest == 1 else "no task"
        yield Report(
            target or service,
            f"It may run {few}: when a zone or a machine is lost, nothing answers until another "
            "task has started.",
            "Keep at least two tasks.",
        )

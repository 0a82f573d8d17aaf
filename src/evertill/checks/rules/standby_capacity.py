"""The standby can carry the load: its tasks run and may grow, and a large reader waits."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.containers import SCALABLE, SERVICE, scaling_of
from evertill.checks.views.databases import CLUSTER, instances_of, is_secondary, standby_regions

# docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.DBInstanceClass.Types.html
SIZES = ("micro", "small", "medium", "large", "xlarge")


def check(model: Model) -> Iterator[Report]:
    """Compare the standby's services and instances with the active region's."""
    standby = standby_regions(model)
    for service in model.resources_of(SERVICE):
        if service.region in standby:
            yield from _tasks(model, service, standby)
    for cluster in model.resources_of(CLUSTER):
        if is_secondary(cluster):
            yield from _readers(model, cluster)


def _tasks(model: Model, service: Resource, standby: set[str]) -> Iterator[Report]:
    target = scaling_of(model, service)
    if target is None:
        return
    if target.number("MinCapacity") == 0:
        yield Report(
            target,
            "The standby keeps no task running: a failover waits for images, starts and health "
            "checks, and finds out then whether they work.",
            "Keep at least one task in every zone running.",
        )
    peers = [
        peer
        for peer in model.resources_of(SCALABLE)
        if peer.region not in standby
        and service.name is not None
        and _service_name(model, peer) == service.name
    ]
    limit = target.number("MaxCapacity")
    wanted = max((peer.number("MaxCapacity") or 0 for peer in peers), default=0)
    if limit is not None and limit < wanted:
        yield Report(
            target,
            f"The standby may grow to {limit:g} tasks and the active region to {wanted:g}: after a "
            "failover the peak is shed.",
            f"Set MaxCapacity to {wanted:g} in both regions.",
        )


def _service_name(model: Model, target: Resource) -> object:
    for service in model.resources_of(SERVICE):
        if service.region == target.region and scaling_of(model, service) == target:
            return service.name
    return None


def _readers(model: Model, cluster: Resource) -> Iterator[Report]:
    instances = instances_of(model, cluster)
    if not instances:
        yield Report(
            cluster,
            "The secondary has no instance: a failover first waits minutes for one to be created.",
            "Keep a reader that is large enough to become the writer.",
        )
        return
    primaries = [
        instance
        for other in model.resources_of(CLUSTER)
        if not is_secondary(other)
        and other.get("GlobalClusterIdentifier") == cluster.get("GlobalClusterIdentifier")
        for instance in instances_of(model, other)
    ]
    here = max((_size(instance) for instance in instances), default=0)
    there = max((_size(instance) for instance in primaries), default=0)
    if 0 < here < there:
        yield Report(
            cluster,
            "Its largest instance is smaller than the primary's: after a failover it carries the "
            "same load with less.",
            "Give the standby an instance of the primary's size.",
        )


def _size(instance: Resource) -> int:
    """Return a size that can be compared, 0 when it cannot (serverless, unknown)."""
    size = (instance.text("DBInstanceClass") or "").rpartition(".")[2]
    if size.endswith("xlarge") and size != "xlarge":
        factor = size.removesuffix("xlarge")
        return len(SIZES) + int(factor) if factor.isdigit() else 0
    return SIZES.index(size) + 1 if size in SIZES else 0

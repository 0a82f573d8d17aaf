"""A database survives the loss of its writer's zone: another instance is in another zone."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.databases import (
    CLUSTER,
    INSTANCE,
    instances_of,
    is_aurora,
    is_secondary,
)

INSTANCES_MIN = 2


def check(model: Model) -> Iterator[Report]:
    """Count instances and the zones that they are pinned to; Aurora spreads the others itself."""
    for cluster in model.resources_of(CLUSTER):
        if is_aurora(cluster) and not is_secondary(cluster):
            yield from _spread(cluster, instances_of(model, cluster))
    for instance in model.resources_of(INSTANCE):
        alone = not instance.has("DBClusterIdentifier") and not instance.has(
            "SourceDBInstanceIdentifier"
        )
        if alone and not is_aurora(instance) and instance.flag("MultiAZ") is False:
            yield Report(
                instance,
                "It lives in one zone: when that is lost, it comes back from a backup.",
                "Set MultiAZ to true.",
            )


def _spread(cluster: Resource, instances: list[Resource]) -> Iterator[Report]:
    pinned = {instance.text("AvailabilityZone") for instance in instances}
    if not instances and cluster.text("EngineMode", "provisioned") == "provisioned":
        yield Report(
            cluster,
            "It has no instance: nothing answers at its endpoints.",
            "Add a writer, and a reader in another zone.",
        )
    elif len(instances) == 1:
        yield Report(
            cluster,
            "It has one instance: when its zone is lost, Aurora creates another one, which takes "
            "minutes and may find no capacity.",
            "Add a reader in another zone.",
        )
    elif len(instances) >= INSTANCES_MIN and None not in pinned and len(pinned) == 1:
        yield Report(
            cluster,
            f"All its instances are pinned to {', '.join(map(str, pinned))}.",
            "Pin them to different zones, or leave the choice to Aurora.",
        )

"""A standby cluster is a member of the global cluster that feeds it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.databases import (
    CLUSTER,
    GLOBAL_CLUSTER,
    begins_empty,
    failover_regions,
    global_of,
    is_aurora,
)
from evertill.checks.views.whereabouts import leads_nowhere

# What calls itself a standby is taken at its word.
PROMISE = re.compile(r"(?i:standby|secondary|replica)|(?<![A-Za-z])(?i:dr)(?![a-z])|DR(?![a-z])")


def check(model: Model) -> Iterator[Report]:
    """Look for Aurora clusters that nobody replicates to although something relies on it."""
    clusters = [cluster for cluster in model.resources_of(CLUSTER) if is_aurora(cluster)]
    standby = failover_regions(model, "SECONDARY") - failover_regions(model, "PRIMARY")
    regions = {cluster.region for cluster in clusters if cluster.region}
    for cluster in clusters:
        joined = global_of(model, cluster)
        if joined is None and begins_empty(cluster):
            yield Report(
                cluster,
                "It has neither a master user, nor a snapshot, nor a global cluster: it cannot be "
                "created.",
                "Set GlobalClusterIdentifier, or give it a master user.",
            )
        elif joined is None and len(regions) > 1 and _is_standby(cluster, standby):
            yield Report(
                cluster,
                "It is where a failover leads, and nothing replicates to it: after a failover "
                "the service answers from an empty ledger.",
                "Make it a member of the primary's global cluster, without a master user.",
            )
        elif leads_nowhere(model, joined, [GLOBAL_CLUSTER], _global_region(model)):
            yield Report(
                cluster,
                f"No global cluster of the assembly is named {joined}: it cannot join.",
                "Use the identifier of the AWS::RDS::GlobalCluster.",
            )


def _is_standby(cluster: Resource, regions: set[str]) -> bool:
    names = f"{cluster.stack} {cluster.logical_id} {cluster.name or ''}"
    return cluster.region in regions or PROMISE.search(names) is not None


def _global_region(model: Model) -> str | None:
    found = model.resources_of(GLOBAL_CLUSTER)
    return found[0].region if found else None

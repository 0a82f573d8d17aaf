"""The members of a global cluster fit together: one begins it, each has a region of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.databases import CLUSTER, GLOBAL_CLUSTER, begins_empty, global_of

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attaching.html
ALIKE = ("Engine", "StorageEncrypted")


def check(model: Model) -> Iterator[Report]:
    """Compare the clusters that join the same global cluster."""
    members: defaultdict[str, list[Resource]] = defaultdict(list)
    for cluster in model.resources_of(CLUSTER):
        joined = global_of(model, cluster)
        if joined is not None:
            found = model.find(joined, GLOBAL_CLUSTER)
            members[str(found or joined)].append(cluster)
    for clusters in members.values():
        yield from _beginnings(clusters)
        yield from _differences(clusters)


def _beginnings(clusters: list[Resource]) -> Iterator[Report]:
    regions = Counter(cluster.region for cluster in clusters if cluster.region)
    for cluster in clusters:
        if regions[cluster.region or ""] > 1:
            yield Report(
                cluster,
                "Another member of the same global cluster is in its region, and a region holds "
                "one: the second cannot join.",
                "Place one member in each region.",
            )
    leaders = [cluster for cluster in clusters if not begins_empty(cluster)]
    for cluster in leaders[1:]:
        yield Report(
            cluster,
            f"It brings users or data of its own, as {leaders[0]} does: a secondary takes both "
            "from the primary, and cannot be created so.",
            "Leave master user, password and snapshot to the primary.",
        )


def _differences(clusters: list[Resource]) -> Iterator[Report]:
    for path in ALIKE:
        values = {cluster.text(path, "false") for cluster in clusters}
        if len(values) > 1 and None not in values:
            yield Report(
                clusters[-1],
                f"The members of its global cluster differ in {path}: it cannot join.",
                f"Give all members the same {path}.",
            )

"""Replication lag is watched where it is published: in a secondary's region."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.alarms import metrics_in
from evertill.checks.views.databases import CLUSTER, global_of, is_secondary
from evertill.checks.views.metrics import LAG_METRICS


def check(model: Model) -> Iterator[Report]:
    """Report lag alarms that exist in primary regions only; in both is wise, as roles swap."""
    yield from _alone(model)
    members = [
        cluster
        for cluster in model.resources_of(CLUSTER)
        if cluster.region and global_of(model, cluster) is not None
    ]
    secondary = {cluster.region for cluster in members if is_secondary(cluster)}
    primary = {cluster.region for cluster in members} - secondary
    for name in LAG_METRICS:
        alarms = [alarm for alarm, metric in metrics_in(model) if metric.name == name]
        if not secondary or any(alarm.region not in primary for alarm in alarms):
            continue
        for alarm in alarms:
            yield Report(
                alarm,
                f"{name} is published in a secondary's region only, and {alarm.region} holds the "
                "primary: the alarm has no data until after a failover.",
                f"Watch it in {' and '.join(sorted(map(str, secondary)))} too.",
            )


def _alone(model: Model) -> Iterator[Report]:
    for alarm, metric in metrics_in(model):
        watched = metric.dimensions.get("DBClusterIdentifier")
        cluster = model.find(watched, CLUSTER, region=alarm.region)
        if metric.name in LAG_METRICS and cluster and global_of(model, cluster) is None:
            yield Report(
                alarm,
                f"{cluster.logical_id} is no member of a global cluster, and {metric.name} is "
                "published for members only: the alarm never fires.",
                "Make the cluster a member, or watch AuroraReplicaLag.",
            )

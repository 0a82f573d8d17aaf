"""Replication lag is watched where it is published: in a secondary's region."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.alarms import metrics_in
from evertill.checks.views.databases import CLUSTER, is_secondary
from evertill.checks.views.metrics import LAG_METRICS


def check(model: Model) -> Iterator[Report]:
    """Report lag alarms that exist in primary regions only; in both is wise, as roles swap."""
    members = [
        cluster
        for cluster in model.resources_of(CLUSTER)
        if cluster.has("GlobalClusterIdentifier") and cluster.region
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

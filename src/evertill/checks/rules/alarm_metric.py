"""An alarm's metric is published in the alarm's region, under the alarm's dimensions."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.alarms import MetricUse, metrics_in
from evertill.checks.views.metrics import DIMENSIONS, ELSEWHERE, ONE_REGION

CONTAINER_INSIGHTS = "ECS/ContainerInsights"


def check(model: Model) -> Iterator[Report]:
    """Look each metric up in the table of what AWS publishes."""
    for alarm, metric in metrics_in(model):
        yield from _published(alarm, metric)
        if metric.namespace == CONTAINER_INSIGHTS:
            yield from _insights(model, alarm, metric)


def _published(alarm: Resource, metric: MetricUse) -> Iterator[Report]:
    elsewhere = ELSEWHERE.get((metric.namespace, metric.name))
    if elsewhere is not None:
        yield Report(
            alarm,
            f"AWS publishes no {metric}: the alarm has no data and never fires.",
            f"Use {elsewhere}.",
        )
        return
    region = ONE_REGION.get(metric.namespace)
    if region and alarm.region not in {None, region}:
        yield Report(
            alarm,
            f"{metric} is published in {region} only, and the alarm is in {alarm.region}: it never "
            "fires.",
            f"Create the alarm in {region}.",
        )
    known = DIMENSIONS.get(metric.namespace, {}).get(metric.name)
    if known is not None and frozenset(metric.dimensions) not in known:
        given = ", ".join(sorted(metric.dimensions)) or "no dimensions"
        wanted = " or ".join(", ".join(sorted(names)) or "none" for names in known)
        yield Report(
            alarm,
            f"{metric} is not published under {given}: the alarm has no data and never fires.",
            f"Use the dimensions {wanted}.",
        )


def _insights(model: Model, alarm: Resource, metric: MetricUse) -> Iterator[Report]:
    cluster = model.find(
        metric.dimensions.get("ClusterName"), "AWS::ECS::Cluster", region=alarm.region
    )
    if cluster is None:
        return
    settings = cluster.get("ClusterSettings")
    if settings is not None and not isinstance(settings, list):
        return
    values = {as_text(child(item, "Value")) for item in settings or []}
    if not values & {"enabled", "enhanced", None}:
        yield Report(
            alarm,
            f"Container Insights is not switched on for {cluster.logical_id}, so {metric} is not "
            "published, unless the account's default says otherwise: the alarm never fires.",
            "Set containerInsights to enhanced in the cluster's settings.",
        )

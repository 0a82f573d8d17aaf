"""An alarm watches something that exists, by the name that the metric knows it by."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Reference, Resource, Value
from evertill.checks.findings import Report
from evertill.checks.views.alarms import metrics_in
from evertill.checks.views.metrics import HOLDS
from evertill.checks.views.whereabouts import leads_nowhere, other_region

GLOBAL = {"HealthCheckId", "SourceBucket", "DestinationBucket"}


def check(model: Model) -> Iterator[Report]:
    """Compare each dimension with the resource that it must be of."""
    for alarm, metric in metrics_in(model):
        for name, value in metric.dimensions.items():
            if name in HOLDS and metric.namespace.startswith(("AWS/", "ECS/")):
                yield from _holds(model, alarm, name, value)


def _holds(model: Model, alarm: Resource, name: str, value: Value) -> Iterator[Report]:
    kind, attributes = HOLDS[name]
    target = model.resource(value)
    if isinstance(value, Reference) and target is not None:
        if target.type != kind or value.attribute not in attributes:
            yield Report(
                alarm,
                f"The dimension {name} holds {value.attribute} of {target.logical_id}, which is "
                "not the name that the metric is published under: the alarm never fires.",
                f"Use {' or '.join(sorted(attributes))} of a {kind}.",
            )
        return
    elsewhere = None if name in GLOBAL else other_region(model, value, [kind], alarm.region)
    if elsewhere is not None:
        yield Report(
            alarm,
            f"{name} {value} is in {elsewhere.region} and the alarm in {alarm.region}, where its "
            "metric is not published: it never fires.",
            f"Create the alarm in {elsewhere.region}.",
        )
    elif leads_nowhere(model, value, [kind], alarm.region):
        yield Report(
            alarm,
            f"There is no {kind} named {value} in this region: the alarm watches nothing.",
            "Use the name of the resource that is deployed.",
        )

"""Alarms and the metrics that they look at.

It is separate because an alarm may name its metric in two ways, and the rules want one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_text, child

ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"


class MetricUse(msgspec.Struct, frozen=True):
    """A metric that an alarm looks at, by its namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: dict[str, Value]

    def __str__(self) -> str:
        return f"{self.namespace} {self.name}"


def metrics_of(alarm: Resource) -> Iterator[MetricUse]:
    """Give the metrics of an alarm; those of another account or not fully known are left out."""
    yield from _metric(alarm.properties)
    for query in alarm.items("Metrics"):
        if child(query, "AccountId") is None:
            yield from _metric(child(query, "MetricStat"), nested=True)


def is_single(alarm: Resource) -> bool:
    """Tell whether an alarm looks at one metric and computes nothing."""
    return alarm.has("MetricName")


def metrics_in(model: Model) -> Iterator[tuple[Resource, MetricUse]]:
    """Give all alarms with each metric that they look at."""
    for alarm in model.resources_of(ALARM):
        for metric in metrics_of(alarm):
            yield alarm, metric


def _metric(holder: Value, *, nested: bool = False) -> Iterator[MetricUse]:
    metric = child(holder, "Metric") if nested else holder
    namespace, name = as_text(child(metric, "Namespace")), as_text(child(metric, "MetricName"))
    dimensions = child(metric, "Dimensions")
    if not namespace or not name or not isinstance(dimensions, list | None):
        return
    named: dict[str, Value] = {}
    for dimension in dimensions or []:
        key = as_text(child(dimension, "Name"))
        if key is None:
            return
        named[key] = child(dimension, "Value")
    yield MetricUse(namespace, name, named)

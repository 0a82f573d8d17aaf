"""Metric filters: which lines of a log group become which metric.

It is separate because they stand between two concerns: what containers write, and what alarms see.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.assembly import Resource, Value
from evertill.assembly.model import as_list, as_number, as_text, child
from evertill.twin.log_patterns import Pattern, PatternUnsupported
from evertill.twin.plan.bindings import Bindings

FILTER: Final = "AWS::Logs::MetricFilter"


class FilterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of one log group. `value` is a number or a selector, `$.amount`.

    `dimensions` are selectors by name. `default` is published when lines came and none matched.
    """

    region: str
    log_group: str
    pattern: Pattern
    namespace: str
    metric: str
    value: str
    unit: str = "None"
    dimensions: dict[str, str] = {}
    default: float | None = None


def filter_specs(resource: Resource, bindings: Bindings) -> tuple[FilterSpec, ...]:
    """Return the metrics of a filter; raise PatternUnsupported, naming the filter."""
    try:
        pattern = Pattern(resource.text("FilterPattern") or "")
    except PatternUnsupported as error:
        message = f"{resource}: {error}"
        raise PatternUnsupported(message) from error
    group = bindings.text(resource.get("LogGroupName"))
    return tuple(
        FilterSpec(
            region=str(resource.region),
            log_group=group,
            pattern=pattern,
            namespace=_text(item, "MetricNamespace"),
            metric=_text(item, "MetricName"),
            value=_text(item, "MetricValue"),
            unit=as_text(child(item, "Unit")) or "None",
            dimensions={
                _text(dimension, "Key"): _text(dimension, "Value")
                for dimension in as_list(child(item, "Dimensions"))
            },
            default=as_number(child(item, "DefaultValue")),
        )
        for item in resource.items("MetricTransformations")
    )


def _text(item: Value, name: str) -> str:
    return as_text(child(item, name)) or ""

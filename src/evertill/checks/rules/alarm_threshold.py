"""An alarm's threshold can be crossed by the values that its metric takes."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, is_single, metrics_of
from evertill.checks.views.metrics import CEILINGS, TOO_LATE

STATISTICS = {"Average", "Maximum", "Minimum", "p50", "p90", "p95", "p99", "p99.9"}


def check(model: Model) -> Iterator[Report]:
    """Compare thresholds with the ends of the scale."""
    for alarm in model.resources_of(ALARM):
        threshold, comparison = alarm.number("Threshold"), alarm.text("ComparisonOperator")
        if threshold is None or comparison is None or not is_single(alarm):
            continue
        statistic = alarm.text("Statistic") or alarm.text("ExtendedStatistic")
        for metric in metrics_of(alarm):
            key = (metric.namespace, metric.name)
            ceiling = CEILINGS.get(key) if statistic in STATISTICS else None
            words = f"{metric} is {{}} {comparison.removesuffix('Threshold')} {threshold:g}"
            if _is_never(comparison, threshold, metric.namespace, ceiling):
                yield Report(
                    alarm,
                    f"{words.format('never')}: the alarm cannot fire.",
                    "Choose a threshold inside the metric's range.",
                )
            elif ceiling is not None and _is_always(comparison, threshold, ceiling):
                yield Report(
                    alarm,
                    f"{words.format('always')}: the alarm never ends, and tells nobody anything.",
                    "Choose a threshold inside the metric's range.",
                )
            elif comparison.startswith("Greater") and threshold >= TOO_LATE.get(key, inf):
                yield Report(
                    alarm,
                    f"It waits until {metric} is over {threshold:g}: whoever hears it then can "
                    "save nothing any more.",
                    f"Choose a threshold well below {TOO_LATE[key]:g}.",
                )


def _is_never(comparison: str, threshold: float, namespace: str, ceiling: float | None) -> bool:
    if ceiling is not None and (
        (comparison == "GreaterThanThreshold" and threshold >= ceiling)
        or (comparison == "GreaterThanOrEqualToThreshold" and threshold > ceiling)
    ):
        return True
    # No metric in the table, and none that AWS publishes as a count or a time, is negative.
    return namespace.startswith("AWS/") and (
        (comparison == "LessThanThreshold" and threshold <= 0)
        or (comparison == "LessThanOrEqualToThreshold" and threshold < 0)
    )


def _is_always(comparison: str, threshold: float, ceiling: float) -> bool:
    return (comparison == "LessThanThreshold" and threshold > ceiling) or (
        comparison == "LessThanOrEqualToThreshold" and threshold >= ceiling
    )

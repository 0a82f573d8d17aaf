"""An alarm's threshold can be crossed by the values that its metric takes."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, is_single, metrics_of
from evertill.checks.views.metrics import PERCENTAGES

HUNDRED = 100
STATISTICS = {"Average", "Maximum", "Minimum"}


def check(model: Model) -> Iterator[Report]:
    """Compare thresholds with the ends of the scale."""
    for alarm in model.resources_of(ALARM):
        threshold, comparison = alarm.number("Threshold"), alarm.text("ComparisonOperator")
        if threshold is None or comparison is None or not is_single(alarm):
            continue
        for metric in metrics_of(alarm):
            share = (metric.namespace, metric.name) in PERCENTAGES
            statistic = alarm.text("Statistic")
            over = (
                share
                and statistic in STATISTICS
                and (
                    (comparison == "GreaterThanThreshold" and threshold >= HUNDRED)
                    or (comparison == "GreaterThanOrEqualToThreshold" and threshold > HUNDRED)
                )
            )
            # No metric in the table, and none that AWS publishes as a count or a time, is negative.
            under = metric.namespace.startswith("AWS/") and (
                (comparison == "LessThanThreshold" and threshold <= 0)
                or (comparison == "LessThanOrEqualToThreshold" and threshold < 0)
            )
            if over or under:
                yield Report(
                    alarm,
                    f"{metric} is never {comparison.removesuffix('Threshold')} {threshold:g}: the "
                    "alarm cannot fire.",
                    "Choose a threshold inside the metric's range.",
                )

"""What an alarm makes of missing data lets it fire when its subject is gone, and only then."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.alarms import ALARM, is_single, metrics_of
from evertill.checks.views.metrics import GONE_WHEN_ZERO, ONLY_WHEN_NONZERO

# docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
DEFAULT = "missing"


def check(model: Model) -> Iterator[Report]:
    """Compare each alarm's choice with how its metric goes missing."""
    for alarm in model.resources_of(ALARM):
        choice = alarm.text("TreatMissingData", DEFAULT)
        comparison = alarm.text("ComparisonOperator") or ""
        if choice is None or not is_single(alarm):
            continue
        for metric in metrics_of(alarm):
            key = (metric.namespace, metric.name)
            if key in GONE_WHEN_ZERO and comparison.startswith("Less") and choice != "breaching":
                yield Report(
                    alarm,
                    f"{metric} is not published when nothing runs, and missing data is "
                    f"'{choice}': the alarm is silent exactly when everything is gone.",
                    "Set TreatMissingData to breaching.",
                )
            if (
                key in ONLY_WHEN_NONZERO
                and comparison.startswith("Greater")
                and choice == "breaching"
            ):
                yield Report(
                    alarm,
                    f"{metric} is published only while there is something to count, and missing "
                    "data is 'breaching': the alarm fires whenever nothing is wrong.",
                    "Set TreatMissingData to notBreaching.",
                )

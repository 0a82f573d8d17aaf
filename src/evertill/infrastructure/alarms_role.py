"""Which role a region has, as a metric: 1 while its service can write, 0 while it cannot.

It is separate because other alarms depend on it, and because AWS publishes no such thing. The
service logs one sentence or the other twice a minute in every worker (service/health.py), and two
metric filters on its log group count them. So the metric says what the database answered, not what
somebody configured, and follows a failover within a minute.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from evertill.infrastructure.alarm_names import REGION_WRITER
from evertill.infrastructure.alarms import Alarms, above, published

METRIC: Final = "RegionWritable"
# Held to be the same as in evertill.service.health by a test: this room imports no run-time code.
WRITABLE: Final = "This region takes writes."
READ_ONLY: Final = "This region takes no writes."


def namespace(suffix: str) -> str:
    """Return the namespace of what our own service publishes."""
    return f"Evertill/{suffix}"


def publish_role(scope: Construct, suffix: str, group: logs.ILogGroup) -> None:
    """Turn the sentences in the service's log `group` into the metric."""
    for construct_id, sentence, value in (
        ("Writable", WRITABLE, "1"),
        ("ReadOnly", READ_ONLY, "0"),
    ):
        logs.MetricFilter(
            scope,
            construct_id,
            log_group=group,
            filter_pattern=logs.FilterPattern.string_value("$.message", "=", sentence),
            metric_namespace=namespace(suffix),
            metric_name=METRIC,
            metric_value=value,
        )


def role_metric(suffix: str) -> cloudwatch.Metric:
    """Return the metric: 1 when any worker of this region could write in that minute."""
    return published(namespace(suffix), METRIC, "Maximum", {})


def add_role_alarm(alarms: Alarms) -> cloudwatch.Alarm:
    """Return the alarm that is on while this region writes. It is a state and nobody is told.

    Missing data means that no task runs here; such a region is not the writer. After a failover it
    turns within two minutes.
    """
    return alarms.ring(
        REGION_WRITER,
        role_metric(alarms.names.suffix),
        "This region is the writer. It is a state that other alarms refer to, and no trouble.",
        above(0, (1, 1)),
        is_told=False,
    )

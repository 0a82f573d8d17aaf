"""What the service's log is turned into: metrics that AWS does not publish by itself.

They are made here, by filters on the log group, and not by the service, so that a payment never
waits for CloudWatch. Each depends on words that the service logs; tests hold the two together,
because this room imports no run-time code.

`RegionWritable` is 1 or 0 twice a minute from every worker (service/health.py): what the database
answered, not what somebody configured. `Answered` and `Failed` count requests (service/logs.py)
without those for `/ready`: Route 53's checkers ask a hundred times a minute, and a standby refuses
them with 503 by design. The load balancer's own counts of its targets' errors include them.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from evertill.infrastructure.alarms import math, published

WRITABLE: Final = "This region takes writes."
READ_ONLY: Final = "This region takes no writes."
ROLE: Final = "RegionWritable"
ANSWERED: Final = "Answered"
FAILED: Final = "Failed"
_REQUESTS: Final = '($.message = "request") && ($.route != "/ready")'
FILTERS: Final = {
    "Writable": (f'{{ $.message = "{WRITABLE}" }}', ROLE, "1"),
    "ReadOnly": (f'{{ $.message = "{READ_ONLY}" }}', ROLE, "0"),
    "Answered": (f"{{ {_REQUESTS} }}", ANSWERED, "1"),
    "Failed": (f"{{ {_REQUESTS} && ($.status >= 500) }}", FAILED, "1"),
}


def publish(scope: Construct, suffix: str, group: logs.ILogGroup) -> None:
    """Turn the lines of the service's log `group` into metrics."""
    for construct_id, (pattern, name, value) in FILTERS.items():
        logs.MetricFilter(
            scope,
            construct_id,
            log_group=group,
            filter_pattern=logs.FilterPattern.literal(pattern),
            metric_namespace=namespace(suffix),
            metric_name=name,
            metric_value=value,
        )


def namespace(suffix: str) -> str:
    """Return the namespace of what our own service publishes."""
    return f"Evertill/{suffix}"


def role(suffix: str) -> cloudwatch.Metric:
    """Return the metric that is 1 when any worker of this region could write in that minute."""
    return published(namespace(suffix), ROLE, "Maximum", {})


def error_rate(suffix: str) -> cloudwatch.MathExpression:
    """Return the percentage of requests that failed; missing while none was asked, or none failed.

    Where no task runs it is missing too, which the counts of tasks and targets tell.
    """
    return math(
        "100 * failed / answered",
        "Failed requests, %",
        failed=published(namespace(suffix), FAILED, "Sum", {}),
        answered=published(namespace(suffix), ANSWERED, "Sum", {}),
    )

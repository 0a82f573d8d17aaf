"""Alarms about the validation function, as it is called: by a load balancer that waits.

They are apart because there is no queue behind such a call: nothing is retried, no dead letter is
kept, and what fails was seen by a merchant. AWS/Lambda publishes in the function's region with the
dimension FunctionName; the load balancer counts, with the dimensions LoadBalancer and TargetGroup,
what the function did to it, which includes answers that are no HTTP:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html

All of these exist only for minutes with calls, so missing data means that nobody called. They ring
within three minutes; validations move no money, and the objective is the one of the whole API.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure.alarms import Alarms, above, published
from evertill.infrastructure.alarms_service import BALANCER, of_balancer
from evertill.infrastructure.edge import Edge
from evertill.infrastructure.validation import TIMEOUT_S, Validation

SPACE: Final = "AWS/Lambda"
FAILURES_PER_MIN_MAX: Final = 3
DURATION_MS_MAX: Final = TIMEOUT_S * 1000 // 2


def add_validation_alarms(alarms: Alarms, edge: Edge, validation: Validation) -> None:
    """Add the alarms about errors, throttles and duration of the function."""
    function = {"FunctionName": alarms.names.validation}
    # The function has a target group of its own, so its errors are not the tasks'.
    target = {**of_balancer(edge), "TargetGroup": validation.targets.attr_target_group_full_name}
    counts = {
        "validation-errors": (
            published(SPACE, "Errors", "Sum", function),
            "The validation function raises errors.",
        ),
        "validation-throttles": (
            published(SPACE, "Throttles", "Sum", function),
            "Validations are refused because the function's reserved concurrency is used up.",
        ),
        "validation-function-errors": (
            published(BALANCER, "LambdaUserError", "Sum", target),
            "The load balancer cannot use what the validation function answers.",
        ),
    }
    for what, (count, says) in counts.items():
        _ring(alarms, what, count, says, FAILURES_PER_MIN_MAX)
    _ring(
        alarms,
        "validation-duration",
        published(SPACE, "Duration", "p99", function),
        "Validations take half of the time that they have.",
        DURATION_MS_MAX,
    )


def _ring(
    alarms: Alarms, what: str, metric: cloudwatch.Metric, says: str, threshold: float
) -> None:
    alarms.ring(
        what,
        metric,
        says,
        above(threshold, (2, 3)),
    )

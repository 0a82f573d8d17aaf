"""Alarms about the service as its load balancer and ECS see it.

AWS/ApplicationELB publishes once a minute in the load balancer's region, with the dimensions
LoadBalancer and, for targets, TargetGroup. Counts of requests and errors exist only for minutes
that had some; HealthyHostCount and UnHealthyHostCount only while targets are registered:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html

ECS/ContainerInsights publishes RunningTaskCount in the cluster's region with the dimensions
ClusterName and ServiceName (AWS/ECS has no such metric), and nothing at all at zero tasks:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aws_cdk import aws_cloudwatch as cloudwatch

from evertill.infrastructure import log_metrics
from evertill.infrastructure.alarm_names import (
    BALANCER_ERRORS,
    HEALTHY_TARGETS,
    LATENCY,
    LOW_TASK_COUNT,
    SERVICE_ERRORS,
    UNHEALTHY_TARGETS,
)
from evertill.infrastructure.alarms import Alarms, above, below, published
from evertill.infrastructure.edge import Edge
from evertill.infrastructure.scaling import floor, remaining

BALANCER: Final = "AWS/ApplicationELB"
TASKS: Final = "ECS/ContainerInsights"
ERROR_PERCENT_MAX: Final = 1.0
OWN_ERRORS_PER_MIN_MAX: Final = 10
# Twice the 500 ms within which a merchant's checkout wants its answer.
LATENCY_S_MAX: Final = 1.0


class ServiceAlarms(NamedTuple):
    """The alarms that together mean that a region fails."""

    healthy_targets: cloudwatch.Alarm
    low_task_count: cloudwatch.Alarm
    service_errors: cloudwatch.Alarm
    own_errors: cloudwatch.Alarm


def add_service_alarms(alarms: Alarms, edge: Edge) -> ServiceAlarms:
    """Add the alarms about targets, tasks, errors and latency of a region."""
    _add_unhealthy_targets(alarms, edge)
    _add_latency(alarms, edge)
    return ServiceAlarms(
        _healthy_targets(alarms, edge),
        _low_task_count(alarms),
        _service_errors(alarms),
        _own_errors(alarms, edge),
    )


def of_balancer(edge: Edge) -> dict[str, str]:
    """Return the dimension of what the load balancer says of itself."""
    return {"LoadBalancer": edge.balancer.load_balancer_full_name}


def of_targets(edge: Edge) -> dict[str, str]:
    """Return the dimensions of what the load balancer says of the service's tasks."""
    return {**of_balancer(edge), "TargetGroup": edge.targets.target_group_full_name}


def _add_unhealthy_targets(alarms: Alarms, edge: Edge) -> None:
    alarms.ring(
        UNHEALTHY_TARGETS,
        published(BALANCER, "UnHealthyHostCount", "Maximum", of_targets(edge)),
        "A task fails the load balancer's check for longer than ECS needs to replace it.",
        # A task is unhealthy after 30 s and is replaced within two minutes, so that one bad task
        # is silent and a bad release is not.
        # Without any targets the next alarm rings.
        above(0, (3, 5)),
    )


def _healthy_targets(alarms: Alarms, edge: Edge) -> cloudwatch.Alarm:
    tasks = floor(alarms.names.settings, alarms.names.region)
    return alarms.ring(
        HEALTHY_TARGETS,
        published(BALANCER, "HealthyHostCount", "Minimum", of_targets(edge)),
        "Fewer tasks are healthy than the loss of a zone would leave.",
        # Two minutes: with the objective of an hour for a region, somebody has 58 left.
        # No target is registered, so nobody can be served.
        below(remaining(tasks), (2, 2)),
    )


def _low_task_count(alarms: Alarms) -> cloudwatch.Alarm:
    names = alarms.names
    return alarms.ring(
        LOW_TASK_COUNT,
        published(
            TASKS,
            "RunningTaskCount",
            "Minimum",
            {"ClusterName": names.cluster, "ServiceName": names.service},
        ),
        "Fewer tasks run than the region's floor, for longer than ECS needs to start one.",
        # A deployment starts new tasks before it ends old ones and never goes below the floor.
        # Container Insights says nothing about no tasks.
        below(floor(names.settings, names.region), (3, 3)),
    )


def _service_errors(alarms: Alarms) -> cloudwatch.Alarm:
    return alarms.ring(
        SERVICE_ERRORS,
        log_metrics.error_rate(alarms.names.suffix),
        f"More than {ERROR_PERCENT_MAX:g} % of requests fail in the service.",
        above(ERROR_PERCENT_MAX, (2, 3)),
    )


def _own_errors(alarms: Alarms, edge: Edge) -> cloudwatch.Alarm:
    return alarms.ring(
        BALANCER_ERRORS,
        # These are 502, 503 and 504 that no task answered: crashes, timeouts, nobody there.
        published(BALANCER, "HTTPCode_ELB_5XX_Count", "Sum", of_balancer(edge)),
        "The load balancer answers for tasks that do not.",
        # The metric exists only for minutes with an error.
        above(OWN_ERRORS_PER_MIN_MAX, (2, 3)),
    )


def _add_latency(alarms: Alarms, edge: Edge) -> None:
    alarms.ring(
        LATENCY,
        published(BALANCER, "TargetResponseTime", "p99", of_targets(edge)),
        f"One request in a hundred takes longer than {LATENCY_S_MAX:g} s.",
        # Nobody asked anything.
        above(LATENCY_S_MAX, (3, 5)),
    )

"""The alarms' names, which operators, recovery and ECS deployments refer to.

They are apart from the alarms because the service stack names two of them before they exist.
"""

from __future__ import annotations

from typing import Final

from evertill.infrastructure.names import Names

REPLICATION_LAG: Final = "db-replication-lag"
RPO_LAG: Final = "db-rpo-lag"
REPLICATION_SILENT: Final = "db-replication-silent"
UNHEALTHY_TARGETS: Final = "alb-unhealthy-targets"
HEALTHY_TARGETS: Final = "alb-low-healthy-targets"
BALANCER_ERRORS: Final = "alb-own-5xx"
SERVICE_ERRORS: Final = "service-5xx-rate"
LATENCY: Final = "alb-latency-p99"
LOW_TASK_COUNT: Final = "ecs-low-task-count"
REGION_WRITER: Final = "region-writer"
REGION_FAILING: Final = "region-failing"

# What a release may be blamed for within minutes. Host and task counts are not: they dip for
# reasons of their own, and the circuit breaker watches them during a deployment anyway.
DEPLOYMENT: Final = (SERVICE_ERRORS, LATENCY)


def alarm_name(names: Names, what: str) -> str:
    """Return an alarm's name in an environment; a region's alarms share it with the other's."""
    return f"{what}-{names.suffix}"


def deployment_alarms(names: Names) -> list[str]:
    """Return the alarms that roll a deployment back."""
    return [alarm_name(names, what) for what in DEPLOYMENT]

"""One page per region that answers, from left to right: does it serve, who writes, how far behind.

It is separate from the alarms because nothing depends on it: it is what people look at after one.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from evertill.infrastructure import alarms_database as database
from evertill.infrastructure import log_metrics
from evertill.infrastructure.alarms import Alarms, published
from evertill.infrastructure.alarms_service import (
    BALANCER,
    TASKS,
    of_balancer,
    of_targets,
)
from evertill.infrastructure.edge import Edge
from evertill.infrastructure.names import Names

WIDTH: Final = 8
HEIGHT: Final = 6


def add_dashboard(scope: Construct, alarms: Alarms, edge: Edge) -> None:
    """Add the region's dashboard, named like its alarms."""
    names = alarms.names
    targets, balancer = of_targets(edge), of_balancer(edge)
    tasks = {"ClusterName": names.cluster, "ServiceName": names.service}
    cluster = {"DBClusterIdentifier": names.database}
    page = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=names.named("region"))
    page.add_widgets(
        _graph("Requests", published(BALANCER, "RequestCount", "Sum", balancer)),
        _graph("Failed requests, %", log_metrics.error_rate(names.suffix)),
        _graph(
            "Answer, s",
            published(BALANCER, "TargetResponseTime", "p50", targets),
            published(BALANCER, "TargetResponseTime", "p99", targets),
        ),
    )
    page.add_widgets(
        _graph(
            "Tasks",
            published(TASKS, "RunningTaskCount", "Minimum", tasks),
            published(BALANCER, "HealthyHostCount", "Minimum", targets),
        ),
        _graph(
            "Tasks' processor and memory, %",
            published("AWS/ECS", "CPUUtilization", "Average", tasks),
            published("AWS/ECS", "MemoryUtilization", "Average", tasks),
        ),
        _graph("Writes here (1) or not (0)", log_metrics.role(names.suffix)),
    )
    page.add_widgets(
        _graph("Behind the writer, ms", *_lags(names)),
        _graph(
            "Database's processor, %",
            published(database.SPACE, "CPUUtilization", "Maximum", cluster),
        ),
        _graph(
            "Database's connections",
            published(database.SPACE, "DatabaseConnections", "Maximum", cluster),
        ),
    )


def _lags(names: Names) -> list[cloudwatch.IMetric]:
    """Return the figures of replication in either form that they may be published in."""
    peer = names.settings.peer(names.region)
    return [
        published(database.SPACE, name, "Maximum", dimensions)
        for dimensions in (database.forms(names, peer).values() if peer else ())
        for name in (database.LAG, "AuroraGlobalDBRPOLag")
    ]


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH, height=HEIGHT)

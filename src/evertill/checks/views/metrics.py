"""Which CloudWatch metrics AWS publishes: under which dimensions, and where not in every region.

It is separate because it is a table of facts with their pages; what it does not list, no rule says
anything about.
"""

from __future__ import annotations

from typing import Final

Dimensions = frozenset[str]


def _sets(*names: str) -> tuple[Dimensions, ...]:
    return tuple(frozenset(name.split()) for name in names)


_BALANCER: Final = _sets("LoadBalancer", "LoadBalancer AvailabilityZone")
_TARGETS: Final = _sets("LoadBalancer TargetGroup", "LoadBalancer TargetGroup AvailabilityZone")
_LAMBDA: Final = _sets(
    "", "FunctionName", "FunctionName Resource", "FunctionName Resource ExecutedVersion"
)
_DATABASE: Final = _sets(
    "DBInstanceIdentifier",
    "DBClusterIdentifier",
    "DBClusterIdentifier Role",
    "DatabaseClass",
    "EngineName",
    "",
)
# Whether SourceRegion is always there is told nowhere; AWS's own lab has both forms:
# https://awsauroralabsmy.com/global/cw/
_GLOBAL_DATABASE: Final = _sets("DBClusterIdentifier", "DBClusterIdentifier SourceRegion")
_REPLICATION: Final = _sets("SourceBucket DestinationBucket RuleId")
_HEALTH_CHECK: Final = _sets("HealthCheckId", "HealthCheckId Region", "Region")

# Published in the secondary regions only.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
LAG_METRICS: Final = (
    "AuroraGlobalDBReplicationLag",
    "AuroraGlobalDBProgressLag",
    "AuroraGlobalDBRPOLag",
)

DIMENSIONS: Final[dict[str, dict[str, tuple[Dimensions, ...]]]] = {
    # docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics
    "AWS/ApplicationELB": {
        **dict.fromkeys(("HealthyHostCount", "UnHealthyHostCount"), _TARGETS),
        **dict.fromkeys(
            (
                "HTTPCode_Target_2XX_Count",
                "HTTPCode_Target_3XX_Count",
                "HTTPCode_Target_4XX_Count",
                "HTTPCode_Target_5XX_Count",
                "TargetResponseTime",
                "TargetConnectionErrorCount",
                "RequestCount",
            ),
            _BALANCER + _TARGETS,
        ),
        **dict.fromkeys(
            (
                "ActiveConnectionCount",
                "HTTPCode_ELB_3XX_Count",
                "HTTPCode_ELB_4XX_Count",
                "HTTPCode_ELB_5XX_Count",
                "NewConnectionCount",
                "RejectedConnectionCount",
            ),
            _BALANCER,
        ),
        **dict.fromkeys(
            ("LambdaInternalError", "LambdaUserError"), _sets("TargetGroup") + _TARGETS
        ),
    },
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
    "AWS/ECS": dict.fromkeys(
        ("CPUUtilization", "MemoryUtilization"), _sets("ClusterName", "ClusterName ServiceName")
    ),
    # docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
    "ECS/ContainerInsights": {
        **dict.fromkeys(
            ("RunningTaskCount", "DesiredTaskCount", "PendingTaskCount", "DeploymentCount"),
            _sets("ClusterName ServiceName"),
        ),
        **dict.fromkeys(("TaskCount", "ServiceCount"), _sets("ClusterName")),
    },
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": dict.fromkeys(("Errors", "Throttles", "Invocations", "Duration"), _LAMBDA),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
    "AWS/RDS": {
        **dict.fromkeys(
            ("CPUUtilization", "DatabaseConnections", "FreeableMemory", "Deadlocks"), _DATABASE
        ),
        **dict.fromkeys(LAG_METRICS, _GLOBAL_DATABASE),
    },
    # docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-health-checks.html
    "AWS/Route53": dict.fromkeys(
        ("HealthCheckStatus", "HealthCheckPercentageHealthy"), _HEALTH_CHECK
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
    "AWS/S3": {
        **dict.fromkeys(
            (
                "ReplicationLatency",
                "BytesPendingReplication",
                "OperationsPendingReplication",
                "OperationsFailedReplication",
            ),
            _REPLICATION,
        ),
        **dict.fromkeys(("BucketSizeBytes", "NumberOfObjects"), _sets("BucketName StorageType")),
    },
    # https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
    "AWS/CertificateManager": {"DaysToExpiry": _sets("CertificateArn")},
}

# Services whose metrics are published in one region, wherever they are used.
# docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-monitor-view-status.html
# docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/monitor_estimated_charges_with_cloudwatch
ONE_REGION: Final = {
    "AWS/Route53": "us-east-1",
    "AWS/Billing": "us-east-1",
    "AWS/CloudFront": "us-east-1",
}

# Metrics that are often sought where they are not.
ELSEWHERE: Final = {
    ("AWS/ECS", "RunningTaskCount"): "ECS/ContainerInsights",
    ("AWS/ECS", "DesiredTaskCount"): "ECS/ContainerInsights",
    ("AWS/ECS", "PendingTaskCount"): "ECS/ContainerInsights",
    ("AWS/ECS", "HealthyHostCount"): "AWS/ApplicationELB",
    ("AWS/RDS", "AuroraGlobalDBLag"): "AWS/RDS AuroraGlobalDBReplicationLag",
}

# Nothing is published while no task runs or no target is registered ("Reported if there are
# registered targets"), so that a lower bound is never seen crossed.
# docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
# docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics
GONE_WHEN_ZERO: Final = {
    ("ECS/ContainerInsights", "RunningTaskCount"),
    ("ECS/ContainerInsights", "TaskCount"),
    ("AWS/ApplicationELB", "HealthyHostCount"),
}

# Published only while there is something to count: "Reporting criteria: there is a nonzero value".
# docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics
ONLY_WHEN_NONZERO: Final = {
    ("AWS/ApplicationELB", name)
    for name in (
        "HTTPCode_ELB_4XX_Count",
        "HTTPCode_ELB_5XX_Count",
        "RejectedConnectionCount",
        "TargetConnectionErrorCount",
        "LambdaInternalError",
        "LambdaUserError",
    )
}

# The most that a metric can be.
CEILINGS: Final[dict[tuple[str, str], float]] = {
    **dict.fromkeys(
        (
            ("AWS/ECS", "CPUUtilization"),
            ("AWS/ECS", "MemoryUtilization"),
            ("AWS/RDS", "CPUUtilization"),
            ("AWS/EC2", "CPUUtilization"),
            ("AWS/Route53", "HealthCheckPercentageHealthy"),
        ),
        100,
    ),
    ("AWS/Route53", "HealthCheckStatus"): 1,
    # An idle timeout of 4,000 s is the longest, in seconds; then the load balancer gives up.
    # docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    ("AWS/ApplicationELB", "TargetResponseTime"): 4_000,
    # 15 minutes is the longest that a function runs, in milliseconds.
    # docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    ("AWS/Lambda", "Duration"): 900_000,
    # What max_connections may be set to at most.
    # https://www.postgresql.org/docs/17/runtime-config-connection.html
    ("AWS/RDS", "DatabaseConnections"): 262_143,
}

# Where it is too late for a payment system to be told, in the metric's own unit: an hour of lag.
TOO_LATE: Final[dict[tuple[str, str], float]] = {
    **{("AWS/RDS", name): 3_600_000 for name in LAG_METRICS},
    ("AWS/RDS", "AuroraReplicaLag"): 3_600_000,
}

# What each dimension holds: of which type of resource, and the attributes that return it.
HOLDS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "LoadBalancer": (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        frozenset({"LoadBalancerFullName"}),
    ),
    "TargetGroup": ("AWS::ElasticLoadBalancingV2::TargetGroup", frozenset({"TargetGroupFullName"})),
    "ClusterName": ("AWS::ECS::Cluster", frozenset({"Ref"})),
    # Ref of a service is its ARN.
    "ServiceName": ("AWS::ECS::Service", frozenset({"Name"})),
    "FunctionName": ("AWS::Lambda::Function", frozenset({"Ref"})),
    "DBClusterIdentifier": ("AWS::RDS::DBCluster", frozenset({"Ref"})),
    "DBInstanceIdentifier": ("AWS::RDS::DBInstance", frozenset({"Ref"})),
    # Ref of a topic is its ARN, and of a queue its URL.
    "TopicName": ("AWS::SNS::Topic", frozenset({"TopicName"})),
    "QueueName": ("AWS::SQS::Queue", frozenset({"QueueName"})),
    "SourceBucket": ("AWS::S3::Bucket", frozenset({"Ref"})),
    "DestinationBucket": ("AWS::S3::Bucket", frozenset({"Ref"})),
    "HealthCheckId": ("AWS::Route53::HealthCheck", frozenset({"Ref", "HealthCheckId"})),
}

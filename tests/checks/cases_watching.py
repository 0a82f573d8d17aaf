"""How alarms and health checks are broken, each in one way."""

from __future__ import annotations

from typing import Any

from tests.support.breaking import GONE, Case
from tests.support.platform import alarm
from tests.support.platform_network import att, dimensions, ref
from tests.support.templates import resource

CPU = "AWS/RDS/CPUUtilization"
CHECK = "dns/Check1.Properties.HealthCheckConfig"
INTERNAL = "active/Balancer.Properties.Scheme"
ALARMS = ("TasksAlarm", "ErrorsAlarm", "CpuAlarm", "LagAlarm")


def composite(rule: str) -> dict[str, Any]:
    """Return a composite alarm over others by their names."""
    return resource(
        "AWS::CloudWatch::CompositeAlarm",
        AlarmName="failing",
        AlarmRule=rule,
        AlarmActions=[ref("Topic")],
    )


def hidden(paths: list[str]) -> dict[str, Any]:
    """Return a rule by which the load balancer itself answers some paths."""
    return resource(
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        ListenerArn=ref("Https"),
        Priority=1,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )


CASES = [
    Case("health-check-endpoint", {f"{CHECK}.Port": 8443}, "Check1", "no listener on port 8443"),
    Case("health-check-endpoint", {INTERNAL: "internal"}, "Check1", "is internal"),
    Case(
        "health-check-endpoint",
        {f"{CHECK}.Type": "HTTP", f"{CHECK}.Port": 443},
        "Check1",
        "speaks HTTP and the listener on its port HTTPS",
    ),
    Case("health-check-endpoint", {f"{CHECK}.Type": "HTTP"}, "Check1", "answers with a redirect"),
    Case(
        "health-check-endpoint",
        {"active/Certificate.Properties.DomainName": "www.evertill.dev"},
        "Check1",
        "not for us-east-1.payments.evertill.dev",
    ),
    Case(
        "health-check-endpoint",
        {f"{CHECK}.FullyQualifiedDomainName": "us-west-1.payments.evertill.dev"},
        "Check1",
        "has no record us-west-1.payments.evertill.dev",
    ),
    Case(
        "alarm-metric",
        {"active/Wrong": alarm("AWS/ECS/RunningTaskCount", "LessThan")},
        "Wrong",
        "AWS publishes no AWS/ECS RunningTaskCount",
    ),
    Case(
        "alarm-metric",
        {
            "standby/Wrong": alarm(
                "AWS/Route53/HealthCheckStatus",
                "LessThan",
                Dimensions=dimensions(HealthCheckId="11111111-1111-1111-1111-111111111111"),
            )
        },
        "Wrong",
        "published in us-east-1 only",
    ),
    Case(
        "alarm-metric",
        {"active/TasksAlarm.Properties.Dimensions": dimensions(ServiceName="payments")},
        "TasksAlarm",
        "not published under ServiceName",
    ),
    Case(
        "alarm-metric",
        {"active/Cluster.Properties.ClusterSettings": GONE},
        "TasksAlarm",
        "Container Insights is not switched on",
    ),
    Case(
        "alarm-metric",
        {
            "active/Math": resource(
                "AWS::CloudWatch::Alarm",
                ComparisonOperator="GreaterThanThreshold",
                AlarmActions=[ref("Topic")],
                Metrics=[
                    {
                        "MetricStat": {
                            "Metric": {
                                "Namespace": "AWS/ApplicationELB",
                                "MetricName": "HealthyHostCount",
                                "Dimensions": dimensions(
                                    LoadBalancer=att("Balancer", "LoadBalancerFullName")
                                ),
                            }
                        }
                    }
                ],
            )
        },
        "Math",
        "not published under LoadBalancer",
    ),
    Case(
        "alarm-dimension",
        {"active/ErrorsAlarm.Properties.Dimensions.0.Value": ref("Balancer")},
        "ErrorsAlarm",
        "holds Ref of Balancer",
    ),
    Case(
        "alarm-dimension",
        {"active/TasksAlarm.Properties.Dimensions.1.Value": ref("Service")},
        "TasksAlarm",
        "Use Name of a AWS::ECS::Service",
    ),
    Case(
        "alarm-dimension",
        {"active/LagAlarm.Properties.Dimensions.0.Value": "payment"},
        "LagAlarm",
        "There is no AWS::RDS::DBCluster named payment",
    ),
    Case(
        "alarm-dimension",
        {
            "standby/Database.Properties.DBClusterIdentifier": "payments-two",
            "active/LagAlarm.Properties.Dimensions.0.Value": "payments-two",
        },
        "LagAlarm",
        "is in us-east-2 and the alarm in us-east-1",
    ),
    Case(
        "alarm-missing-data",
        {"active/TasksAlarm.Properties.TreatMissingData": GONE},
        "TasksAlarm",
        "silent exactly when everything is gone",
    ),
    Case(
        "alarm-missing-data",
        {
            "active/HostsAlarm": alarm(
                "AWS/ApplicationELB/HealthyHostCount",
                "LessThan",
                TreatMissingData="notBreaching",
                Dimensions=dimensions(
                    LoadBalancer=att("Balancer", "LoadBalancerFullName"),
                    TargetGroup=att("Targets", "TargetGroupFullName"),
                ),
            )
        },
        "HostsAlarm",
        "silent exactly when everything is gone",
    ),
    Case(
        "alarm-missing-data",
        {"active/ErrorsAlarm.Properties.TreatMissingData": "breaching"},
        "ErrorsAlarm",
        "fires whenever nothing is wrong",
    ),
    Case(
        "alarm-threshold",
        {"active/CpuAlarm.Properties.Threshold": 100},
        "CpuAlarm",
        "is never GreaterThan 100",
    ),
    Case(
        "alarm-threshold",
        {"dns/CheckAlarm.Properties.Threshold": 0},
        "CheckAlarm",
        "is never LessThan 0",
    ),
    Case(
        "alarm-action",
        {"active/CpuAlarm.Properties.AlarmActions": GONE},
        "CpuAlarm",
        "nobody learns of it",
    ),
    Case(
        "alarm-action",
        {"active/CpuAlarm.Properties.ActionsEnabled": False},
        "CpuAlarm",
        "nobody learns of it",
    ),
    Case("alarm-action", {"active/Subscription": GONE}, "Topic", "nobody is subscribed"),
    Case(
        "alarm-action",
        {"active/CpuAlarm.Properties.AlarmActions.0": "arn:aws:sns:us-east-2:1:alerts"},
        "CpuAlarm",
        "Its action is in us-east-2",
    ),
    Case(
        "alarm-topic-key",
        {"active/Key.Properties.KeyPolicy.Statement.0.Principal.Service": "sns.amazonaws.com"},
        "Topic",
        "fires in silence",
    ),
    Case(
        "alarm-topic-key",
        {"active/Topic.Properties.KmsMasterKeyId": "alias/aws/sns"},
        "Topic",
        "fires in silence",
    ),
    Case(
        "alarm-lag-region",
        {"standby/LagAlarm": GONE},
        "LagAlarm",
        "published in a secondary's region only",
    ),
    Case(
        "alarm-lag-region",
        {"standby/Database.Properties.GlobalClusterIdentifier": GONE},
        "LagAlarm",
        "is no member of a global cluster",
    ),
    Case(
        "health-check-endpoint",
        {f"{CHECK}.FullyQualifiedDomainName": "west.evertill.dev"},
        "Check1",
        "has no record west.evertill.dev",
    ),
    Case(
        "composite-alarm-names",
        {
            **{f"active/{name}.Properties.AlarmName": name.lower() for name in ALARMS},
            "dns/CheckAlarm.Properties.AlarmName": "check",
            "active/Failing": composite("ALARM(cpualarm) OR ALARM(diskalarm)"),
        },
        "Failing",
        "No alarm of its region is named diskalarm",
    ),
    Case(
        "composite-alarm-names",
        {
            "active/CpuAlarm.Properties.AlarmName": "cpu",
            "active/Failing": composite('ALARM("cpu")'),
        },
        "Failing",
        "Nothing makes it wait for CpuAlarm",
    ),
    Case("health-check-sni", {f"{CHECK}.EnableSNI": False}, "Check1", "a name in the handshake"),
    Case(
        "health-check-path",
        {"active/Hidden": hidden(["/metrics", "/ready*"])},
        "Check1",
        "Hidden answers /ready with 404 by itself",
    ),
    Case(
        "health-check-path",
        {
            "active/Https.Properties.DefaultActions.0": {
                "Type": "fixed-response",
                "FixedResponseConfig": {"StatusCode": "503"},
            }
        },
        "Check1",
        "Https answers /ready with 503 by itself",
    ),
    Case(
        "alarm-threshold",
        {"active/LagAlarm.Properties.Threshold": 864_000_000},
        "LagAlarm",
        "can save nothing any more",
    ),
    Case(
        "alarm-threshold",
        {"dns/CheckAlarm.Properties.Threshold": 2},
        "CheckAlarm",
        "is always LessThan 2",
    ),
    Case(
        "alarm-threshold",
        {
            "active/Slow": alarm(
                "AWS/ApplicationELB/TargetResponseTime",
                "GreaterThan",
                Threshold=90_000,
                Statistic="Maximum",
                Dimensions=dimensions(LoadBalancer=att("Balancer", "LoadBalancerFullName")),
            )
        },
        "Slow",
        "is never GreaterThan 90000",
    ),
]

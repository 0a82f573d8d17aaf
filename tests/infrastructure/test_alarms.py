"""Alarms that would ring: each on a metric that somebody publishes there, with those dimensions."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from tests.support.assembly import Assembly

from evertill.service import health
from evertill.service.exchange import Exchange
from evertill.service.logs import access_line
from evertill.service.routes import ROUTES

REGIONS = ("us-east-1", "us-east-2")
ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
# Who publishes what with which dimensions, from the pages that the alarms' modules name.
PUBLISHED = {
    "AWS/ApplicationELB": {
        "HTTPCode_ELB_5XX_Count": {"LoadBalancer"},
        "HealthyHostCount": {"LoadBalancer", "TargetGroup"},
        "LambdaUserError": {"LoadBalancer", "TargetGroup"},
        "TargetResponseTime": {"LoadBalancer", "TargetGroup"},
        "UnHealthyHostCount": {"LoadBalancer", "TargetGroup"},
    },
    "AWS/CertificateManager": {"DaysToExpiry": {"CertificateArn"}},
    "AWS/RDS": {
        "CPUUtilization": {"DBInstanceIdentifier"},
        "DatabaseConnections": {"DBClusterIdentifier"},
        "Deadlocks": {"DBClusterIdentifier"},
        "FreeableMemory": {"DBClusterIdentifier"},
    },
    "AWS/S3": {
        "OperationsFailedReplication": {"DestinationBucket", "RuleId", "SourceBucket"},
        "ReplicationLatency": {"DestinationBucket", "RuleId", "SourceBucket"},
    },
    "AWS/Lambda": {
        "Duration": {"FunctionName"},
        "Errors": {"FunctionName"},
        "Throttles": {"FunctionName"},
    },
    "ECS/ContainerInsights": {"RunningTaskCount": {"ClusterName", "ServiceName"}},
}
# Nobody tells which of these the figures of replication are published under, so both are watched.
REPLICATION = [{"DBClusterIdentifier"}, {"DBClusterIdentifier", "SourceRegion"}]
LAGS = ("AuroraGlobalDBRPOLag", "AuroraGlobalDBReplicationLag")


class Metric(NamedTuple):
    """A metric that an alarm reads."""

    namespace: str
    name: str
    dimensions: dict[str, Any]


def alarms(assembly: Assembly, region: str) -> dict[str, dict[str, Any]]:
    """Return a region's alarms by their names without the suffix."""
    suffix = assembly.only(f"network-{region}", "AWS::EC2::VPC")["Tags"]
    assert suffix
    found = {}
    for alarm in assembly.properties(f"watch-{region}", ALARM):
        found[alarm["AlarmName"].rpartition("-")[0]] = alarm
    return found


def metrics(alarm: dict[str, Any]) -> list[Metric]:
    """Return what an alarm reads, alone or in an expression."""
    raw = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m]
    return [
        Metric(
            metric["Namespace"],
            metric["MetricName"],
            {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])},
        )
        for metric in (raw or [alarm])
    ]


@pytest.mark.parametrize("region", REGIONS)
def test_every_metric_is_published_with_the_dimensions_that_are_asked_for(
    assembly: Assembly, region: str
) -> None:
    for name, alarm in alarms(assembly, region).items():
        for metric in metrics(alarm):
            if metric.name in LAGS:
                assert set(metric.dimensions) in REPLICATION, name
            elif not metric.namespace.startswith("Evertill/"):
                expected = PUBLISHED[metric.namespace][metric.name]
                assert expected == set(metric.dimensions), name


@pytest.mark.parametrize("region", REGIONS)
def test_every_alarm_decides_about_missing_data_and_is_told_to_somebody(
    assembly: Assembly, region: str
) -> None:
    # States and signals that other alarms refer to; the first is on in one region at all times.
    signal = "db-replication-silent-signal"
    silent = {"region-writer", signal, f"{signal}-by-cluster"}
    for name, alarm in alarms(assembly, region).items():
        assert alarm["TreatMissingData"] in {"breaching", "notBreaching"}, name
        assert alarm["AlarmDescription"], name
        assert (name in silent) == ("AlarmActions" not in alarm), name
        assert alarm.get("AlarmActions") == alarm.get("OKActions"), name
        assert "InsufficientDataActions" not in alarm


@pytest.mark.parametrize("region", REGIONS)
def test_no_tasks_at_all_ring_and_a_rolling_deployment_does_not(
    assembly: Assembly, region: str
) -> None:
    alarm = alarms(assembly, region)["ecs-low-task-count"]
    floor = assembly.only(f"service-{region}", "AWS::ApplicationAutoScaling::ScalableTarget")
    # Nothing is published about no tasks; a deployment keeps at least what was there.
    assert "breaching" == alarm["TreatMissingData"]
    assert ("LessThanThreshold", floor["MinCapacity"]) == (
        alarm["ComparisonOperator"],
        alarm["Threshold"],
    )
    (metric,) = metrics(alarm)
    service = assembly.only(f"service-{region}", "AWS::ECS::Service")
    assert service["ServiceName"] == metric.dimensions["ServiceName"]


def test_the_loss_of_a_zone_alone_leaves_enough_healthy_targets(prod: Assembly) -> None:
    thresholds = [
        alarms(prod, region)["alb-low-healthy-targets"]["Threshold"] for region in REGIONS
    ]
    # Of ten tasks over three zones four may go at once, of three one.
    assert [6, 2] == thresholds


@pytest.mark.parametrize("tail", ["", "-by-cluster"])
@pytest.mark.parametrize("name", ["db-replication-lag", "db-rpo-lag"])
@pytest.mark.parametrize("region", REGIONS)
def test_lag_rings_in_either_region_minutes_before_the_objective_is_spent(
    assembly: Assembly, region: str, name: str, tail: str
) -> None:
    alarm = alarms(assembly, region)[name + tail]
    (metric,) = metrics(alarm)
    (other,) = set(REGIONS) - {region}
    # What is replicated here comes from the other region, whichever that is today.
    assert metric.dimensions.get("SourceRegion") == (None if tail else other)
    cluster = assembly.only(f"data-{region}", "AWS::RDS::DBCluster")["DBClusterIdentifier"]
    assert cluster == metric.dimensions["DBClusterIdentifier"]
    # A cut link lags by a second a second; then the periods, and one more until it is published.
    told_after_s = alarm["Threshold"] / 1000 + 60 * (alarm["EvaluationPeriods"] + 1)
    assert told_after_s <= 300
    # The writer's region has no such metric, ever.
    assert "notBreaching" == alarm["TreatMissingData"]


def test_the_rpo_is_told_before_the_guard_stops_payments(assembly: Assembly) -> None:
    guard_ms_min = 20_000
    alarm = alarms(assembly, "us-east-2")["db-rpo-lag"]
    assert (1, 1) == (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"])
    assert alarm["Threshold"] < guard_ms_min


@pytest.mark.parametrize("region", REGIONS)
def test_silence_about_replication_rings_only_where_the_service_cannot_write(
    assembly: Assembly, region: str
) -> None:
    stack = f"watch-{region}"
    ids = {
        r["Properties"]["AlarmName"]: name for name, r in assembly.resources(stack, ALARM).items()
    }
    composites = assembly.properties(stack, COMPOSITE)
    (silence,) = [c for c in composites if c["AlarmName"].startswith("db-replication-silent")]
    rule = json.dumps(silence["AlarmRule"])
    signals = [v for k, v in ids.items() if k.startswith("db-replication-silent-signal")]
    writer = next(v for k, v in ids.items() if k.startswith("region-writer"))
    assert 2 == len(signals)
    for signal in signals:
        assert rule.index(signal) < rule.index("AND (NOT (ALARM") < rule.index(writer)
    assert " OR " not in rule
    for name in ("", "-by-cluster"):
        raw = alarms(assembly, region)[f"db-replication-silent-signal{name}"]
        assert "breaching" == raw["TreatMissingData"]


@pytest.mark.parametrize("region", REGIONS)
def test_an_instance_that_is_gone_rings_while_its_neighbour_lives(
    assembly: Assembly, region: str
) -> None:
    found = alarms(assembly, region)
    instances = assembly.properties(f"data-{region}", "AWS::RDS::DBInstance")
    watched = []
    for number in range(1, len(instances) + 1):
        alarm = found[f"db-cpu-{number}"]
        assert "breaching" == alarm["TreatMissingData"]
        watched.append(metrics(alarm)[0].dimensions["DBInstanceIdentifier"])
    assert [instance["DBInstanceIdentifier"] for instance in instances] == watched


@pytest.mark.parametrize("region", REGIONS)
def test_the_alarm_about_connections_knows_the_functions_too(
    assembly: Assembly, region: str
) -> None:
    function = [
        f
        for f in assembly.properties(f"service-{region}", "AWS::Lambda::Function")
        if f.get("FunctionName")
    ]
    target = assembly.only(f"service-{region}", "AWS::ApplicationAutoScaling::ScalableTarget")
    threshold = alarms(assembly, region)["db-connections"]["Threshold"]
    least = 16 * target["MaxCapacity"] + 2 * function[0]["ReservedConcurrentExecutions"]
    assert least < threshold < 2 * least


@pytest.mark.parametrize("region", REGIONS)
def test_what_the_service_logs_becomes_metrics_that_alarms_read(
    assembly: Assembly, region: str
) -> None:
    stack = f"service-{region}"
    filters = assembly.properties(stack, "AWS::Logs::MetricFilter")
    made = {
        found["FilterPattern"]: (change["MetricName"], change["MetricValue"])
        for found in filters
        for change in found["MetricTransformations"]
    }
    requests = '($.message = "request") && ($.route != "/ready")'
    assert {
        f'{{ $.message = "{health.WRITABLE}" }}': ("RegionWritable", "1"),
        f'{{ $.message = "{health.READ_ONLY}" }}': ("RegionWritable", "0"),
        f"{{ {requests} }}": ("Answered", "1"),
        f"{{ {requests} && ($.status >= 500) }}": ("Failed", "1"),
    } == made
    (task,) = [
        t
        for t in assembly.properties(stack, "AWS::ECS::TaskDefinition")
        if t["Family"].startswith("payment-service")
    ]
    options = task["ContainerDefinitions"][0]["LogConfiguration"]["Options"]
    assert all(found["LogGroupName"] == options["awslogs-group"] for found in filters)
    published = {
        (change["MetricNamespace"], change["MetricName"])
        for found in filters
        for change in found["MetricTransformations"]
    }
    read = {
        (metric.namespace, metric.name)
        for alarm in alarms(assembly, region).values()
        for metric in metrics(alarm)
        if metric.namespace.startswith("Evertill/")
    }
    assert published == read


def test_the_lines_that_are_counted_have_the_fields_that_are_asked_for() -> None:
    exchange = Exchange(
        method="GET",
        path="/ready",
        query="",
        headers={},
        body=b"",
        started_s=0.0,
        send=lambda *_: None,
    )
    exchange.route = "/ready"
    written = json.loads(access_line(exchange, 503, 0.1))
    assert ("request", "/ready", 503) == (written["message"], written["route"], written["status"])
    assert "/ready" in {route.path for route in ROUTES}


@pytest.mark.parametrize("region", REGIONS)
def test_health_checks_that_a_standby_refuses_are_no_errors(
    assembly: Assembly, region: str
) -> None:
    alarm = alarms(assembly, region)["service-5xx-rate"]
    (expression,) = [m["Expression"] for m in alarm["Metrics"] if "Expression" in m]
    assert "100 * failed / answered" == expression
    # Nothing here depends on the role: a writer whose database is gone fails its clients too.
    assert {"Answered", "Failed"} == {metric.name for metric in metrics(alarm)}


@pytest.mark.parametrize("region", REGIONS)
def test_an_outage_does_not_make_a_writer_a_standby(assembly: Assembly, region: str) -> None:
    writer = alarms(assembly, region)["region-writer"]
    assert (1, 30) == (writer["DatapointsToAlarm"], writer["EvaluationPeriods"])
    assert "notBreaching" == writer["TreatMissingData"]


@pytest.mark.parametrize("region", REGIONS)
def test_replication_of_the_log_is_watched_where_each_figure_is_published(
    assembly: Assembly, region: str
) -> None:
    found = alarms(assembly, region)
    (late,), (failed,) = (
        metrics(found[name]) for name in ("log-replication-late", "log-replication-failed")
    )
    here = json.dumps(late.dimensions["DestinationBucket"])
    # What is late is told where it arrives, what failed where it came from.
    assert here == json.dumps(failed.dimensions["SourceBucket"])
    assert late.dimensions["SourceBucket"] == failed.dimensions["DestinationBucket"]
    (bucket,) = [
        b
        for b in assembly.properties(f"data-{region}", "AWS::S3::Bucket")
        if "ReplicationConfiguration" in b
    ]
    assert here == json.dumps(bucket["BucketName"])
    (rule,) = bucket["ReplicationConfiguration"]["Rules"]
    assert {rule["Id"]} == {late.dimensions["RuleId"], failed.dimensions["RuleId"]}


@pytest.mark.parametrize("region", REGIONS)
def test_one_alarm_says_that_the_region_is_failing(assembly: Assembly, region: str) -> None:
    composites = assembly.properties(f"watch-{region}", COMPOSITE)
    (failing,) = [c for c in composites if c["AlarmName"].startswith("region-failing-")]
    rule = json.dumps(failing["AlarmRule"])
    assert 4 == rule.count("ALARM(")
    assert 3 == rule.count(" OR ")
    assert failing["AlarmActions"]


@pytest.mark.parametrize("region", REGIONS)
def test_the_topic_is_encrypted_under_a_key_that_alarms_may_use(
    assembly: Assembly, region: str
) -> None:
    topic = assembly.only(f"watch-{region}", "AWS::SNS::Topic")
    assert "KmsMasterKeyId" in topic
    policy = json.dumps(assembly.only(f"keys-{region}", "AWS::KMS::Key")["KeyPolicy"])
    assert "cloudwatch.amazonaws.com" in policy


def test_somebody_hears_productions_alarms(prod: Assembly) -> None:
    for stack in (*(f"watch-{region}" for region in REGIONS), "dns-us-east-1"):
        subscription = prod.only(stack, "AWS::SNS::Subscription")
        assert "email" == subscription["Protocol"]


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_has_one_dashboard(assembly: Assembly, region: str) -> None:
    assert assembly.only(f"watch-{region}", "AWS::CloudWatch::Dashboard")["DashboardName"]

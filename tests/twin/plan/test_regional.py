"""What can be evaluated, made and run is planned; what cannot is complained of by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly

from evertill.twin.alarming import Missing
from evertill.twin.metrics import MetricId
from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec
from evertill.twin.plan.plan import Plan, plan_of
from evertill.twin.plan.regional import region_plan, strong_tables
from evertill.twin.plan.storage import ReplicationRule

EAST, OHIO = "us-east-1", "us-east-2"
ALARM = "AWS::CloudWatch::Alarm"
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
PLAIN: dict[str, Any] = {
    "Namespace": "App",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanThreshold",
}


def planned(folder: Path, east: dict[str, Any], ohio: dict[str, Any] | None = None) -> Plan:
    stacks = [StackFile(east, account="123456789012", region=EAST)]
    if ohio:
        stacks.append(StackFile(ohio, id="Other", account="123456789012", region=OHIO))
    return plan_of(write_assembly(folder, *stacks), allows_unsupported=True)


def test_an_alarm_is_planned_with_its_metric_and_its_topic(tmp_path: Path) -> None:
    resources = {
        "Topic": resource("AWS::SNS::Topic", TopicName="alerts"),
        "Alarm": resource(
            ALARM,
            **PLAIN,
            AlarmName="errors",
            Dimensions=[{"Name": "Table", "Value": {"Ref": "Table"}}],
            AlarmActions=[{"Ref": "Topic"}],
            TreatMissingData="breaching",
            DatapointsToAlarm=2,
        ),
        "Table": resource("AWS::DynamoDB::Table", TableName="t1", KeySchema=[]),
        "Both": resource(
            COMPOSITE,
            AlarmName="both",
            AlarmRule={"Fn::Sub": 'ALARM("${Alarm.Arn}") OR ALARM("errors")'},
            ActionsSuppressor={"Fn::GetAtt": ["Alarm", "Arn"]},
            ActionsSuppressorWaitPeriod=10,
            ActionsSuppressorExtensionPeriod=20,
        ),
    }
    plan = planned(tmp_path, resources)
    alarm, both = region_plan(plan, EAST).alarms
    assert isinstance(alarm, AlarmSpec)
    assert isinstance(both, CompositeSpec)
    assert () == plan.absent
    assert MetricId(EAST, "App", "Errors", (("Table", "t1"),)) == alarm.queries[0].metric
    assert (2, 3, Missing.BREACHING) == (
        alarm.rule.datapoints_to_alarm,
        alarm.rule.evaluation_periods,
        alarm.rule.missing,
    )
    assert ("arn:aws:sns:us-east-1:123456789012:alerts",) == alarm.actions.alarm
    assert (alarm.arn, 10, 20) == (both.suppressor, both.wait_s, both.extension_s)


def test_an_alarm_on_dynamodb_ignores_missing_data_unless_it_says_otherwise(
    tmp_path: Path,
) -> None:
    alarm = resource(ALARM, **{**PLAIN, "Namespace": "AWS/DynamoDB"})
    (spec,) = planned(tmp_path, {"Alarm": alarm}).alarms
    assert isinstance(spec, AlarmSpec)
    assert Missing.IGNORE is spec.rule.missing


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "its comparison is"),
        ({"Statistic": None, "ExtendedStatistic": "tm99"}, "its statistic is tm99"),
        (
            {"Metrics": [{"Id": "q", "Expression": "SELECT MAX(x) FROM y", "Period": 60}]},
            "its expression is SELECT",
        ),
        ({"Metrics": [{"Id": "e", "Expression": "a + 1"}]}, "its metrics have no one period"),
    ],
)
def test_an_alarm_that_cannot_be_evaluated_is_complained_of_by_its_name(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    properties = {**PLAIN, "AlarmName": "odd", **changed}
    alarm = resource(ALARM, **{key: value for key, value in properties.items() if value})
    plan = planned(tmp_path, {"Alarm": alarm})
    assert () == plan.alarms
    assert "The twin cannot evaluate the alarm odd" in plan.absent[0]
    assert why in plan.absent[0]


def test_a_composite_that_watches_nobody_is_complained_of(tmp_path: Path) -> None:
    composite = resource(COMPOSITE, AlarmName="lonely", AlarmRule='ALARM("gone")')
    (complaint,) = planned(tmp_path, {"Composite": composite}).absent
    assert "lonely" in complaint
    assert "gone" in complaint


def test_copies_are_planned_by_rule_and_strong_tables_belong_to_no_region(tmp_path: Path) -> None:
    rule = {
        "Id": "copy",
        "Status": "Enabled",
        "Filter": {"Prefix": "log/"},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {
            "Bucket": {"Fn::Sub": "arn:aws:s3:::copy-${AWS::AccountId}"},
            "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
        },
    }
    configuration = {"Role": "r", "Rules": [rule, {**rule, "Id": "off", "Status": "Disabled"}]}
    east = {
        "Log": resource("AWS::S3::Bucket", BucketName="log", ReplicationConfiguration=configuration)
    }
    lease = resource(
        "AWS::DynamoDB::GlobalTable",
        TableName="lease",
        MultiRegionConsistency="STRONG",
        KeySchema=[{"AttributeName": "lease", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lease", "AttributeType": "S"}],
        Replicas=[{"Region": EAST}, {"Region": OHIO}],
        GlobalTableWitnesses=[{"Region": "us-west-2"}],
    )
    ohio = {
        "Copy": resource("AWS::S3::Bucket", BucketName={"Fn::Sub": "copy-${AWS::AccountId}"}),
        "Lease": lease,
    }
    plan = planned(tmp_path, east, ohio)
    expected = ReplicationRule(
        id="copy", prefix="log/", destination="copy-123456789012", publishes_metrics=True
    )
    assert (expected,) == region_plan(plan, EAST).buckets[0].rules
    (table,) = strong_tables(plan)
    assert ((EAST, OHIO), ("us-west-2",)) == (table.regions, table.witnesses)
    assert all(() == region_plan(plan, region).tables for region in (EAST, OHIO))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (
            resource(
                "AWS::DynamoDB::GlobalTable",
                TableName="t1",
                Replicas=[{"Region": EAST}, {"Region": OHIO}],
            ),
            "t1 is eventual",
        ),
        (
            resource("AWS::DynamoDB::Table", TableName="t2", GlobalSecondaryIndexes=[{}]),
            "as t2 has",
        ),
        (
            resource("AWS::Lambda::Function", FunctionName="f", Runtime="nodejs24.x", Code={}),
            "f is nodejs24.x",
        ),
        (
            resource("AWS::Lambda::Function", FunctionName="f", Runtime="python3.13", Code={}),
            "The asset of f",
        ),
    ],
)
def test_what_cannot_be_made_or_run_is_complained_of(
    tmp_path: Path, made: dict[str, Any], why: str
) -> None:
    (complaint,) = planned(tmp_path, {"Made": made}).absent
    assert why in complaint

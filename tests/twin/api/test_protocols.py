"""What boto3 sends arrives at a handler as it was given, and what a handler returns arrives back.

One service for each protocol, with the shapes that are easy to get wrong: lists with names of their
own, maps, blobs, times, values in addresses and headers.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.twin import api, ask, client, site_of_the_test

from evertill.twin.api.errors import ApiError
from evertill.twin.api.handled import Handled

MOMENT = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
SIGNED = {"elbv2": "elasticloadbalancing"}


class Recorder:
    """A handler that keeps what it was asked and returns what it was given."""

    def __init__(self, operation: str, answer: dict[str, Any] | ApiError) -> None:
        self.asked: dict[str, Any] = {}
        self._answer = answer
        setattr(self, operation, self._record)

    async def _record(self, **parameters: Any) -> dict[str, Any]:
        self.asked = parameters
        if isinstance(self._answer, ApiError):
            raise self._answer
        return self._answer


CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "rds",
        "describe_db_clusters",
        {"Filters": [{"Name": "db-cluster-id", "Values": ["a", "b"]}], "MaxRecords": 20},
        {
            "DBClusters": [
                {
                    "DBClusterIdentifier": "payment-db",
                    "MultiAZ": True,
                    "ClusterCreateTime": MOMENT,
                    "DBClusterMembers": [
                        {"DBInstanceIdentifier": "one", "IsClusterWriter": True},
                        {"DBInstanceIdentifier": "two", "IsClusterWriter": False},
                    ],
                    "AvailabilityZones": ["us-east-1a", "us-east-1b"],
                    "Port": 5432,
                }
            ]
        },
    ),
    (
        "rds",
        "failover_global_cluster",
        {
            "GlobalClusterIdentifier": "g",
            "TargetDbClusterIdentifier": "arn:aws:rds:us-east-2:123456789012:cluster:db",
            "AllowDataLoss": True,
        },
        {
            "GlobalCluster": {
                "GlobalClusterIdentifier": "g",
                "FailoverState": {"Status": "failing-over", "IsDataLossAllowed": True},
                "GlobalClusterMembers": [{"DBClusterArn": "x", "Readers": ["y"], "IsWriter": True}],
            }
        },
    ),
    (
        "rds",
        "modify_db_cluster_parameter_group",
        {
            "DBClusterParameterGroupName": "p",
            "Parameters": [
                {
                    "ParameterName": "rds.global_db_rpo",
                    "ParameterValue": "20",
                    "ApplyMethod": "immediate",
                }
            ],
        },
        {"DBClusterParameterGroupName": "p"},
    ),
    (
        "elbv2",
        "describe_target_health",
        {"TargetGroupArn": "arn", "Targets": [{"Id": "127.0.0.1", "Port": 8000}]},
        {
            "TargetHealthDescriptions": [
                {
                    "Target": {"Id": "127.0.0.1", "Port": 8000, "AvailabilityZone": "us-east-1a"},
                    "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout"},
                }
            ]
        },
    ),
    (
        "ecs",
        "describe_services",
        {"cluster": "c", "services": ["s"]},
        {
            "services": [
                {"serviceName": "s", "desiredCount": 2, "createdAt": MOMENT, "events": []}
            ],
            "failures": [],
        },
    ),
    (
        "application-autoscaling",
        "register_scalable_target",
        {
            "ServiceNamespace": "ecs",
            "ResourceId": "service/c/s",
            "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": 4,
        },
        {"ScalableTargetARN": "arn"},
    ),
    (
        "route53",
        "change_resource_record_sets",
        {
            "HostedZoneId": "Z123",
            "ChangeBatch": {
                "Changes": [
                    {
                        "Action": "UPSERT",
                        "ResourceRecordSet": {
                            "Name": "pay.example.com.",
                            "Type": "A",
                            "TTL": 60,
                            "ResourceRecords": [{"Value": "127.0.0.1"}, {"Value": "127.0.0.2"}],
                        },
                    }
                ]
            },
        },
        {"ChangeInfo": {"Id": "/change/1", "Status": "INSYNC", "SubmittedAt": MOMENT}},
    ),
    (
        "route53",
        "list_resource_record_sets",
        {"HostedZoneId": "Z123", "StartRecordName": "a.example.com", "MaxItems": "10"},
        {
            "ResourceRecordSets": [
                {
                    "Name": "pay.example.com.",
                    "Type": "A",
                    "SetIdentifier": "one",
                    "Failover": "PRIMARY",
                    "AliasTarget": {
                        "HostedZoneId": "Z1",
                        "DNSName": "alb.example.com.",
                        "EvaluateTargetHealth": True,
                    },
                    "HealthCheckId": "h",
                }
            ],
            "IsTruncated": False,
            "MaxItems": "10",
        },
    ),
    (
        "route53",
        "get_health_check_status",
        {"HealthCheckId": "a-b"},
        {
            "HealthCheckObservations": [
                {
                    "Region": "us-east-1",
                    "IPAddress": "127.0.0.1",
                    "StatusReport": {"Status": "Success", "CheckedTime": MOMENT},
                }
            ]
        },
    ),
    (
        "lambda",
        "invoke",
        {"FunctionName": "validate", "Payload": b'{"a": 1}', "LogType": "Tail"},
        {"StatusCode": 200, "FunctionError": "Unhandled", "LogResult": "eA=="},
    ),
]


def names_of(case: tuple[str, str, dict[str, Any], dict[str, Any]]) -> str:
    return f"{case[0]}.{case[1]}"


async def asked_through_boto3(
    service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | ApiError
) -> tuple[dict[str, Any], dict[str, Any]]:
    recorder = Recorder(operation, answer)
    with site_of_the_test() as site:
        endpoint = Handled(service, recorder)
        async with api({SIGNED.get(service, service): endpoint}, site) as server:
            found = await ask(getattr(client(service, server.url), operation), **parameters)
            found.pop("ResponseMetadata")
            return recorder.asked, found


@pytest.mark.parametrize("case", CASES, ids=names_of)
def test_parameters_and_answers_pass_as_they_are(
    case: tuple[str, str, dict[str, Any], dict[str, Any]],
) -> None:
    service, operation, parameters, answer = case
    asked, found = asyncio.run(asked_through_boto3(service, operation, parameters, answer))
    found.pop("Payload", None)
    assert parameters == asked
    assert answer == found


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (CASES[0], "DBClusterNotFoundFault"),
        (CASES[3], "TargetGroupNotFound"),
        (CASES[4], "ClusterNotFoundException"),
        (CASES[7], "NoSuchHostedZone"),
        (CASES[9], "ResourceNotFoundException"),
    ],
    ids=lambda value: value if isinstance(value, str) else names_of(value),
)
def test_an_error_has_awss_code_in_every_protocol(
    case: tuple[str, str, dict[str, Any], dict[str, Any]], code: str
) -> None:
    service, operation, parameters, _ = case
    error = ApiError(code, "There is <none> such.", 404)
    with pytest.raises(ClientError) as refused:
        asyncio.run(asked_through_boto3(service, operation, parameters, error))
    told = refused.value.response
    assert (code, "There is <none> such.") == (told["Error"]["Code"], told["Error"]["Message"])
    assert 404 == told["ResponseMetadata"]["HTTPStatusCode"]


def test_a_handlers_misspelt_answer_is_a_failure_and_not_a_silence() -> None:
    with pytest.raises(ClientError) as refused:
        asyncio.run(asked_through_boto3("rds", "describe_db_clusters", {}, {"DBCluster": []}))
    assert "InternalFailure" == refused.value.response["Error"]["Code"]

"""The service and its migration in ECS: what is in their templates, and what must never be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.assembly import ROOT, Assembly

REGIONS = ("us-east-1", "us-east-2")
SERVICE = "AWS::ECS::Service"
TASK = "AWS::ECS::TaskDefinition"
POLICY = "AWS::IAM::Policy"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
SCALING = "AWS::ApplicationAutoScaling::ScalingPolicy"


def task(assembly: Assembly, region: str, family: str) -> dict[str, Any]:
    """Return the properties of the task definition that runs `family`."""
    found = assembly.only(f"{family.removeprefix('payment-')}-{region}", TASK)
    assert found["Family"].startswith(family)
    return found


def container(assembly: Assembly, region: str, family: str = "payment-service") -> dict[str, Any]:
    """Return the only container of a task."""
    (found,) = task(assembly, region, family)["ContainerDefinitions"]
    return dict(found)


def rights(assembly: Assembly, stack: str, part: str) -> dict[str, Any]:
    """Return actions and resources that the policies of a construct allow, by action."""
    found: dict[str, Any] = {}
    for name, policy in assembly.resources(stack, POLICY).items():
        if name.startswith(part):
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                for action in actions if isinstance(actions, list) else [actions]:
                    found[action] = statement["Resource"]
    return found


@pytest.mark.parametrize("region", REGIONS)
def test_no_template_names_a_number_of_tasks(assembly: Assembly, region: str) -> None:
    assert "DesiredCount" not in assembly.only(f"service-{region}", SERVICE)


@pytest.mark.parametrize("region", REGIONS)
def test_a_release_is_rolled_back_when_it_fails_or_its_alarms_ring(
    assembly: Assembly, region: str
) -> None:
    deployment = assembly.only(f"service-{region}", SERVICE)["DeploymentConfiguration"]
    assert {"Enable": True, "Rollback": True} == deployment["DeploymentCircuitBreaker"]
    assert (100, 200) == (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"])
    assert deployment["Alarms"]["Enable"]
    assert deployment["Alarms"]["Rollback"]
    alarms = assembly.properties(f"watch-{region}", "AWS::CloudWatch::Alarm")
    assert set(deployment["Alarms"]["AlarmNames"]) < {alarm["AlarmName"] for alarm in alarms}


@pytest.mark.parametrize("region", REGIONS)
def test_tasks_are_closed_spread_and_without_a_shell(assembly: Assembly, region: str) -> None:
    service = assembly.only(f"service-{region}", SERVICE)
    assert "ENABLED" == service["AvailabilityZoneRebalancing"]
    assert service["EnableExecuteCommand"] is False
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert "DISABLED" == network["AssignPublicIp"]
    assert 3 == len(network["Subnets"])
    assert all("private" in json.dumps(subnet) for subnet in network["Subnets"])


def test_the_cluster_publishes_what_the_alarm_on_tasks_needs(assembly: Assembly) -> None:
    cluster = assembly.only("migration-us-east-1", "AWS::ECS::Cluster")
    assert [{"Name": "containerInsights", "Value": "enhanced"}] == cluster["ClusterSettings"]


@pytest.mark.parametrize("family", ["payment-service", "payment-migration"])
@pytest.mark.parametrize("region", REGIONS)
def test_a_container_is_no_root_and_writes_to_one_folder_only(
    assembly: Assembly, region: str, family: str
) -> None:
    found = container(assembly, region, family)
    assert "10001:10001" == found["User"]
    assert found["ReadonlyRootFilesystem"] is True
    assert ["ALL"] == found["LinuxParameters"]["Capabilities"]["Drop"]
    (mount,) = found["MountPoints"]
    assert ("/scratch", False) == (mount["ContainerPath"], mount["ReadOnly"])
    # Longer than the 25 s that the supervisor drains for, and within what ECS allows.
    assert 25 < found["StopTimeout"] <= 120
    definition = task(assembly, region, family)
    assert "ARM64" == definition["RuntimePlatform"]["CpuArchitecture"]
    assert ("1024", "2048") == (definition["Cpu"], definition["Memory"])


def test_the_container_is_asked_for_its_health_from_within(assembly: Assembly) -> None:
    found = container(assembly, "us-east-1")
    assert [{"ContainerPort": 8080, "Protocol": "tcp"}] == found["PortMappings"]
    assert "http://127.0.0.1:8080/health" in found["HealthCheck"]["Command"][-1]


def test_production_runs_our_own_image_by_digest(prod: Assembly) -> None:
    for region in REGIONS:
        image = json.dumps(container(prod, region)["Image"])
        assert f".dkr.ecr.{region}." in image
        assert "/evertill@sha256:" in image


def test_a_task_may_log_in_add_to_the_log_publish_hold_the_lease_and_nothing_else(
    assembly: Assembly,
) -> None:
    found = rights(assembly, "service-us-east-1", "ComputeTaskRole")
    assert {
        *("rds-db:connect", "s3:PutObject", "sns:Publish", "kms:GenerateDataKey", "kms:Decrypt"),
        *("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
    } == set(found)
    assert json.dumps(found["rds-db:connect"]).count("/payment_user") == 1
    assert "*" not in found.values()


def test_only_the_migration_may_read_the_admins_secret(assembly: Assembly) -> None:
    holders = {
        name
        for stack in assembly.stacks()
        for name, policy in assembly.resources(stack, POLICY).items()
        if "secretsmanager" in json.dumps(policy)
    }
    assert 1 == len(holders)
    assert next(iter(holders)).startswith("MigrationTaskRole")
    secret = rights(assembly, "migration-us-east-2", "MigrationTaskRole")[
        "secretsmanager:GetSecretValue"
    ]
    assert "-admin-??????" in json.dumps(secret)
    # By this name the container asks for it.
    asked = container(assembly, "us-east-2", "payment-migration")["Environment"]
    (name,) = [v["Value"] for v in asked if v["Name"] == "EVERTILL_ADMIN_SECRET"]
    assert f":secret:{name}-??????" in json.dumps(secret)


def test_a_migration_is_a_task_that_no_service_runs(assembly: Assembly) -> None:
    assert ["migrate"] == container(assembly, "us-east-1", "payment-migration")["Command"]
    used = json.dumps(assembly.only("service-us-east-1", SERVICE)["TaskDefinition"])
    assert "Migration" not in used
    outputs = assembly.template("migration-us-east-1")["Outputs"]
    assert {"MigrationTask", "ClusterName"} <= set(outputs)
    where = assembly.template("network-us-east-1")["Outputs"]
    assert {"TaskSubnets", "TaskSecurityGroup"} < set(where)


def test_the_active_region_has_10_to_50_tasks_and_the_standby_one_in_each_zone(
    prod: Assembly,
) -> None:
    bounds = [
        (target["MinCapacity"], target["MaxCapacity"])
        for target in (prod.only(f"service-{region}", TARGET) for region in REGIONS)
    ]
    assert [(10, 50), (3, 50)] == bounds


@pytest.mark.parametrize("region", REGIONS)
def test_tasks_follow_processor_and_requests_and_leave_slowly(
    assembly: Assembly, region: str
) -> None:
    policies = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in assembly.properties(f"service-{region}", SCALING)
    ]
    kinds = {p["PredefinedMetricSpecification"]["PredefinedMetricType"]: p for p in policies}
    assert {"ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"} == set(kinds)
    assert 70 == kinds["ECSServiceAverageCPUUtilization"]["TargetValue"]
    assert all(p["ScaleInCooldown"] > p["ScaleOutCooldown"] for p in policies)
    assert not any(p.get("DisableScaleIn") for p in policies)


def test_no_update_may_touch_a_floor_that_recovery_raised() -> None:
    policy = json.loads((ROOT / "deploy" / "stack-policy.json").read_text())
    (denied,) = [s for s in policy["Statement"] if s["Effect"] == "Deny"]
    assert ("Update:*", "*") == (denied["Action"], denied["Resource"])
    assert {"StringEquals": {"ResourceType": [TARGET]}} == denied["Condition"]


@pytest.mark.parametrize("region", REGIONS)
def test_every_log_group_is_encrypted_and_ends(assembly: Assembly, region: str) -> None:
    groups = assembly.properties(f"service-{region}", "AWS::Logs::LogGroup")
    assert groups
    assert all("KmsKeyId" in group and group["RetentionInDays"] > 0 for group in groups)

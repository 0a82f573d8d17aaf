"""The validation function: in both regions, reached by its load balancer only, and as itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.assembly import Assembly

from evertill.infrastructure import asset
from evertill.infrastructure.errors import SettingsError
from evertill.infrastructure.settings import read_environment

REGIONS = ("us-east-1", "us-east-2")
FUNCTION = "AWS::Lambda::Function"


@pytest.fixture(params=REGIONS)
def region(request: pytest.FixtureRequest) -> str:
    """Give each region."""
    return str(request.param)


@pytest.fixture
def stack(region: str) -> str:
    """Give the stack that the function is in."""
    return f"service-{region}"


def function_of(assembly: Assembly, stack: str) -> dict[str, Any]:
    """Return the function; there must be one only."""
    return assembly.only(stack, FUNCTION)


def test_the_function_is_small_bounded_and_in_the_private_subnets(
    assembly: Assembly, stack: str
) -> None:
    function = assembly.only(stack, FUNCTION)
    assert ("python3.13", ["arm64"]) == (function["Runtime"], function["Architectures"])
    assert (30, 512) == (function["Timeout"], function["MemorySize"])
    assert function["ReservedConcurrentExecutions"] > 0
    assert "Active" == function["TracingConfig"]["Mode"]
    assert all("private" in json.dumps(s) for s in function["VpcConfig"]["SubnetIds"])
    (group,) = function["VpcConfig"]["SecurityGroupIds"]
    assert "FunctionGroup" in json.dumps(group)
    assert "LambdaFunctionArn" in assembly.template(stack)["Outputs"]


def test_only_the_load_balancers_own_group_may_invoke_it(assembly: Assembly, stack: str) -> None:
    permission = assembly.only(stack, "AWS::Lambda::Permission")
    assert "elasticloadbalancing.amazonaws.com" == permission["Principal"]
    assert ":targetgroup/payment-validation-" in json.dumps(permission["SourceArn"])
    assert {"Ref": "AWS::AccountId"} == permission["SourceAccount"]


def test_validations_go_to_the_function_after_what_is_hidden(
    assembly: Assembly, stack: str
) -> None:
    rules = assembly.properties(stack, "AWS::ElasticLoadBalancingV2::ListenerRule")
    by_priority = sorted(rules, key=lambda rule: int(rule["Priority"]))
    paths = [r["Conditions"][0]["PathPatternConfig"]["Values"] for r in by_priority]
    assert ["/metrics", "/metrics/*", "/docs", "/docs/*"] == paths[0]
    assert ["/v1/validations", "/v1/validations/*"] == paths[1]
    groups = assembly.resources(stack, "AWS::ElasticLoadBalancingV2::TargetGroup")
    (function,) = [n for n, g in groups.items() if g["Properties"]["TargetType"] == "lambda"]
    assert {"Ref": function} == by_priority[1]["Actions"][0]["TargetGroupArn"]


def test_every_right_is_narrow_but_the_one_that_ec2_has_no_narrower_for(
    assembly: Assembly, stack: str
) -> None:
    policies = assembly.resources(stack, "AWS::IAM::Policy")
    statements = [
        statement
        for name, policy in policies.items()
        if name.startswith("ValidationRole")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    wide = [statement for statement in statements if statement["Resource"] == "*"]
    actions = {a.partition(":")[0] for s in wide for a in s["Action"]}
    assert actions <= {"ec2", "xray"}
    assert not [s for s in statements if "s3:Delete" in json.dumps(s)]


def test_its_alarms_fit_a_caller_that_waits(assembly: Assembly, region: str, stack: str) -> None:
    alarms = assembly.properties(f"watch-{region}", "AWS::CloudWatch::Alarm")
    found = {
        (alarm.get("Namespace"), alarm.get("MetricName")): alarm
        for alarm in alarms
        if alarm["AlarmName"].startswith("validation-")
    }
    assert {
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/Lambda", "Duration"),
        ("AWS/ApplicationELB", "LambdaUserError"),
    } == set(found)
    assert "DeadLetterConfig" not in assembly.only(stack, FUNCTION)


def test_a_deployment_without_the_functions_code_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="run `make validation-asset`"):
        asset.find_asset(read_environment("dev"), tmp_path / "none")
    rehearsal = read_environment("prod", rehearsal=True)
    assert asset.STAND_IN == asset.find_asset(rehearsal, tmp_path / "none")
    assert tmp_path == asset.find_asset(read_environment("dev"), tmp_path)


def test_production_is_refused_a_function_that_could_not_trust_its_database(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(read_environment("prod", rehearsal=True), rehearsal=False)
    with pytest.raises(SettingsError, match="holds no authorities of RDS"):
        asset.find_asset(settings, tmp_path)
    (tmp_path / asset.AUTHORITIES).write_text("")
    assert tmp_path == asset.find_asset(settings, tmp_path)

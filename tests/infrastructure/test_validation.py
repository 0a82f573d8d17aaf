"""The validation function: there when its handler is, and reached only by its load balancer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.assembly import ROOT, Assembly

SERVICE = "service-us-east-1"
FUNCTION = "AWS::Lambda::Function"
# The app as it is, told of a handler that this release does not have.
PROGRAM = """
import sys
from pathlib import Path
from evertill.infrastructure import node
from evertill.infrastructure.settings import read_environment
node.provide()
from evertill.infrastructure import service_stacks
from evertill.infrastructure.app import build
service_stacks.find_asset = lambda: Path(sys.argv[1])
build(read_environment("dev"), Path(sys.argv[2])).synth()
"""
TIMEOUT_S = 110


@pytest.fixture(scope="module")
def with_handler(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Give the templates of an environment whose handler is there."""
    folder = tmp_path_factory.mktemp("with-handler")
    (folder / "asset").mkdir()
    (folder / "asset" / "handler.py").write_text("def handle(event, context): ...\n")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder / "asset"), str(folder / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src", "CDK_VALIDATION": "false"},
        check=True,
        timeout=TIMEOUT_S,
    )
    return Assembly(folder / "out")


def test_a_release_without_the_handler_has_no_function(dev: Assembly) -> None:
    if Path(ROOT, "src", "evertill", "validation").is_dir():
        pytest.skip("this release has the handler")
    assert {} == dev.resources(SERVICE, "AWS::Lambda::Alias") | {
        name: f
        for name, f in dev.resources(SERVICE, FUNCTION).items()
        if f["Properties"].get("FunctionName")
    }
    assert "LambdaFunctionArn" not in dev.template(SERVICE)["Outputs"]


def test_the_function_is_small_bounded_and_in_the_private_subnets(with_handler: Assembly) -> None:
    function = with_handler.only(SERVICE, FUNCTION)
    assert ("python3.13", ["arm64"]) == (function["Runtime"], function["Architectures"])
    assert (30, 512) == (function["Timeout"], function["MemorySize"])
    assert function["ReservedConcurrentExecutions"] > 0
    assert "Active" == function["TracingConfig"]["Mode"]
    assert all("private" in json.dumps(s) for s in function["VpcConfig"]["SubnetIds"])
    (group,) = function["VpcConfig"]["SecurityGroupIds"]
    assert "FunctionGroup" in json.dumps(group)
    assert "LambdaFunctionArn" in with_handler.template(SERVICE)["Outputs"]


def test_only_the_load_balancers_own_group_may_invoke_it(with_handler: Assembly) -> None:
    permission = with_handler.only(SERVICE, "AWS::Lambda::Permission")
    assert "elasticloadbalancing.amazonaws.com" == permission["Principal"]
    assert ":targetgroup/payment-validation-dev/*" in json.dumps(permission["SourceArn"])
    assert {"Ref": "AWS::AccountId"} == permission["SourceAccount"]


def test_validations_go_to_the_function_after_what_is_hidden(with_handler: Assembly) -> None:
    rules = with_handler.properties(SERVICE, "AWS::ElasticLoadBalancingV2::ListenerRule")
    by_priority = sorted(rules, key=lambda rule: int(rule["Priority"]))
    paths = [r["Conditions"][0]["PathPatternConfig"]["Values"] for r in by_priority]
    assert ["/metrics", "/metrics/*", "/docs", "/docs/*"] == paths[0]
    assert ["/v1/validations", "/v1/validations/*"] == paths[1]
    groups = with_handler.resources(SERVICE, "AWS::ElasticLoadBalancingV2::TargetGroup")
    (function,) = [n for n, g in groups.items() if g["Properties"]["TargetType"] == "lambda"]
    assert {"Ref": function} == by_priority[1]["Actions"][0]["TargetGroupArn"]


def test_every_right_is_narrow_but_the_one_that_ec2_has_no_narrower_for(
    with_handler: Assembly,
) -> None:
    policies = with_handler.resources(SERVICE, "AWS::IAM::Policy")
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


def test_its_alarms_fit_a_caller_that_waits(with_handler: Assembly) -> None:
    alarms = with_handler.properties("watch-us-east-1", "AWS::CloudWatch::Alarm")
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
    assert "DeadLetterConfig" not in with_handler.only(SERVICE, FUNCTION)

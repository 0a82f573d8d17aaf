"""cdk-nag counts what a construct does wrong, and forgets only what is acknowledged there.

It runs in a process of its own, because the CDK starts a Node that lives as long as its process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 100
# Two buckets that do the same things wrong; one rule is acknowledged at the first.
PROGRAM = """
import json
from evertill.infrastructure import node
node.provide()
import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from evertill.audit import nag
from evertill.infrastructure.acknowledgements import Exemption
from evertill.infrastructure.acknowledging import acknowledge

def listed(tool, rule):
    return Exemption(tool, rule, "data-*", "First", "Because.", rule)

app = cdk.App()
stack = cdk.Stack(app, "data-us-east-1")
for name in ("First", "Second"):
    s3.Bucket(stack, name)
before = [(one.rule, one.place) for one in nag.validate(app, "prod")]
tools = {"cdk-nag": "AwsSolutions-S1", "cfn-lint": "W3010", "checkov": "CKV_AWS_18"}
acknowledge(app, [listed(*pair) for pair in tools.items()])
after = [(one.rule, one.place) for one in nag.validate(app, "prod")]
template = app.synth().get_stack_artifact("data-us-east-1").template
print(json.dumps([before, after, template]))
"""


@pytest.fixture(scope="module")
def told() -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src", "CDK_VALIDATION": "false"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def at(findings: list[list[str]], construct: str) -> set[str]:
    return {rule for rule, place in findings if f"/{construct}/" in place}


def test_every_pack_finds_what_a_bucket_does_wrong(told: Any) -> None:
    found = at(told[0], "First")
    assert {"AwsSolutions-S1", "AwsSolutions-S10"} <= found
    assert {"AwsSolutions", "NIST.800.53.R5", "PCI.DSS.321"} == {
        rule.rpartition("-")[0] for rule in found
    }


def test_an_acknowledgement_hides_one_rule_at_one_construct(told: Any) -> None:
    before, after, _ = told
    assert {"AwsSolutions-S1"} == at(before, "First") - at(after, "First")
    assert at(before, "Second") == at(after, "Second")


def test_cfn_lint_and_checkov_are_told_in_the_template(told: Any) -> None:
    by_name = {name[:5]: body for name, body in told[2]["Resources"].items()}
    metadata = by_name["First"]["Metadata"]
    assert {"config": {"ignore_checks": ["W3010"]}} == metadata["cfn-lint"]
    assert {"skip": [{"id": "CKV_AWS_18", "comment": "Because."}]} == metadata["checkov"]
    assert "checkov" not in by_name["Secon"].get("Metadata", {})

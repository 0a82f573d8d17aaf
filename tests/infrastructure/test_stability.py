"""What holds data keeps its logical id: a new one would make CloudFormation build it anew, empty.

`stateful.json` is the committed list. Whoever changes it deploys an empty database beside the full
one, and should know.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.assembly import Assembly, synthesize

LIST = Path(__file__).with_name("stateful.json")
STATEFUL = {
    "AWS::Backup::BackupVault",
    "AWS::DynamoDB::GlobalTable",
    "AWS::KMS::Key",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::RDS::GlobalCluster",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}
# An instance holds no data of its own: the cluster's volume does.
KEPT = STATEFUL - {"AWS::RDS::DBInstance"}
GUARDED = ("data-", "dns-", "global-", "keys-")


def stateful(assembly: Assembly) -> dict[str, dict[str, str]]:
    return {
        stack: found
        for stack in assembly.stacks()
        if (
            found := {
                name: resource["Type"]
                for name, resource in sorted(assembly.template(stack)["Resources"].items())
                if resource["Type"] in STATEFUL
            }
        )
    }


def test_what_holds_data_keeps_its_logical_id(prod: Assembly) -> None:
    assert json.loads(LIST.read_text()) == stateful(prod)


def test_development_has_the_same_shape(dev: Assembly, prod: Assembly) -> None:
    # Production's standby has a second instance; all else that holds data is the same.
    second = {"DatabaseInstance20B30A4F7": "AWS::RDS::DBInstance"}
    found = stateful(dev)
    found["data-us-east-2"] |= second
    assert stateful(prod) == found


def test_what_holds_data_stands_in_stacks_that_are_guarded(assembly: Assembly) -> None:
    manifest = json.loads((assembly.folder / "manifest.json").read_text())["artifacts"]
    for stack in assembly.stacks():
        if stack.startswith(GUARDED):
            assert manifest[stack]["properties"]["terminationProtection"], stack
        else:
            # The key of an alarms' topic encrypts nothing that would be missed.
            kinds = {r["Type"] for r in assembly.template(stack)["Resources"].values()}
            assert not kinds & KEPT - {"AWS::KMS::Key"}, stack


def test_what_holds_data_outlives_its_stack(assembly: Assembly) -> None:
    doomed = [
        (stack, name)
        for stack in assembly.stacks()
        if stack.startswith(("data-", "global-", "keys-"))
        for name, resource in assembly.template(stack)["Resources"].items()
        if resource["Type"] in KEPT and "Retain" != resource.get("DeletionPolicy")
    ]
    assert [] == doomed


def test_no_two_stacks_claim_one_name_where_iam_knows_no_regions(assembly: Assembly) -> None:
    names: Counter[Any] = Counter(
        json.dumps(properties["RoleName"])
        for stack in assembly.stacks()
        for properties in assembly.properties(stack, "AWS::IAM::Role")
        if "RoleName" in properties
    )
    assert {1} == set(names.values())


def test_outputs_that_operators_rely_on_are_there(assembly: Assembly) -> None:
    promised = {
        "DatabaseEndpoint": "data-us-east-1",
        "DatabaseEndpointDR": "data-us-east-2",
        "LogBucketName": "data-us-east-1",
        "LogBucketNameDR": "data-us-east-2",
        "VpcId": "network-us-east-1",
    }
    missing = [
        (name, stack)
        for name, stack in promised.items()
        if name not in assembly.template(stack).get("Outputs", {})
    ]
    assert [] == missing


@pytest.mark.slow
def test_the_cdk_finds_nothing_to_refuse_in_production(tmp_path: Path) -> None:
    said = synthesize(tmp_path, "prod", "--rehearsal", validation=True)
    assert "ERROR" not in said

"""The linters run for real: a violation that is put into a template is found at its construct."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, write_assembly

from evertill.assembly import Model, read
from evertill.audit import programs
from evertill.audit.findings import AuditError
from evertill.audit.policies import check_policies, policies

needs_lint_tools = pytest.mark.skipif(
    not programs.LINT_ENVIRONMENT.exists(), reason="`make lint-infra` makes .venv-lint"
)
BUCKET = {"Type": "AWS::S3::Bucket", "Metadata": {"aws:cdk:path": "data/Log/Resource"}}


def assembly(folder: Path, resources: dict[str, Any], **sections: object) -> Model:
    stack = StackFile(resources, id="data", region="us-east-2", account=None, sections=sections)
    return read(write_assembly(folder, stack))


def role(statement: Mapping[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": [statement]}
    properties = {"Policies": [{"PolicyName": "own", "PolicyDocument": document}]}
    metadata = {"aws:cdk:path": "data/Role/Resource"}
    return {"Type": "AWS::IAM::Role", "Properties": properties, "Metadata": metadata}


def test_cfn_lint_names_the_construct_that_breaks_a_rule(tmp_path: Path) -> None:
    broken = {**BUCKET, "Properties": {"BucketNames": "log"}}
    (found,) = programs.cfn_lint({"prod": assembly(tmp_path, {"Log": broken})})
    assert ("prod", "E3002", "data/Log/Resource") == (found.environment, found.rule, found.place)


def test_cfn_lint_finds_nothing_in_a_template_that_is_well(tmp_path: Path) -> None:
    assert [] == list(programs.cfn_lint({"prod": assembly(tmp_path, {"Log": BUCKET})}))


def test_a_missing_tool_is_one_sentence() -> None:
    with pytest.raises(AuditError, match="`make lint-infra` installs it"):
        programs.run_tool(["no-such-linter"])


def test_a_tool_that_fails_is_one_sentence_and_not_a_clean_bill() -> None:
    with pytest.raises(AuditError, match="false failed with status 1"):
        programs.run_tool(["false"])


@needs_lint_tools
def test_checkov_names_the_construct_that_fails_a_check(tmp_path: Path) -> None:
    found = list(programs.checkov({"prod": assembly(tmp_path, {"Log": BUCKET})}))
    assert ("CKV_AWS_21", "data/Log/Resource") in [(one.rule, one.place) for one in found]


@needs_lint_tools
def test_parliament_and_cloudsplaining_read_the_policies(tmp_path: Path) -> None:
    actions = ["s3:GetObject", "s3:NoSuchAction", "iam:PutRolePolicy"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    found = list(check_policies(assembly(tmp_path, {"Role": role(statement)}), "prod"))
    assert {"data/Role/Resource"} == {one.place for one in found}
    rules = {(one.tool, one.rule) for one in found}
    assert ("parliament", "UNKNOWN_ACTION") in rules
    assert ("cloudsplaining", "allows_data_exfiltration_actions[s3:GetObject]") in rules


def test_a_reference_in_a_policy_becomes_an_arn_of_its_service_and_region(tmp_path: Path) -> None:
    joined = {"Fn::Join": ["", [{"Fn::GetAtt": ["Log", "Arn"]}, "/", {"Ref": "AWS::Region"}]]}
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": joined}
    found = assembly(tmp_path, {"Log": BUCKET, "Role": role(statement)})
    ((place, document),) = policies(found)
    assert "data/Role/Resource" == place
    assert "arn:aws:s3:::Log/us-east-2" == document["Statement"][0]["Resource"]


def test_an_import_is_what_another_stack_exports(tmp_path: Path) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": {"Fn::ImportValue": "data:Log"}}
    output = {"Value": {"Fn::GetAtt": ["Log", "Arn"]}, "Export": {"Name": "data:Log"}}
    found = assembly(tmp_path, {"Log": BUCKET, "Role": role(statement)}, Outputs={"Log": output})
    ((_, document),) = policies(found)
    assert "arn:aws:s3:::Log" == document["Statement"][0]["Resource"]


def test_an_import_is_of_its_own_region(tmp_path: Path) -> None:
    key = {"Key": {"Type": "AWS::KMS::Key"}}
    output = {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "key"}}
    statement = {"Effect": "Allow", "Action": "kms:*", "Resource": {"Fn::ImportValue": "key"}}
    both = [
        StackFile(key, id=f"keys-{region}", region=region, sections={"Outputs": {"Key": output}})
        for region in ("us-east-1", "us-east-2")
    ]
    data = StackFile({"Role": role(statement)}, id="data", region="us-east-2")
    ((_, document),) = policies(read(write_assembly(tmp_path, *both, data)))
    assert "arn:aws:kms:us-east-2:111122223333:key/Key" == document["Statement"][0]["Resource"]


@pytest.mark.parametrize(
    "resource",
    [{"Fn::Transform": "Ours"}, {"Fn::ImportValue": "nobody"}, {"Fn::GetAtt": ["Other", "Arn"]}],
    ids=["an unknown function", "an unknown export", "an unknown type"],
)
def test_what_cannot_become_an_arn_is_refused_and_not_skipped(
    tmp_path: Path, resource: Mapping[str, Any]
) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": resource}
    other = {"Type": "AWS::Quantum::Ledger"}
    found = assembly(tmp_path, {"Role": role(statement), "Other": other})
    with pytest.raises(AuditError):
        list(policies(found))

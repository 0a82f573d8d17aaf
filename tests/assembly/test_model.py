"""What a model answers: properties, references both ways, names and ARNs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly

from evertill.assembly import Model, Reference, Unknown, read


def model_of(folder: Path, *stacks: StackFile) -> Model:
    return read(write_assembly(folder, *stacks))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Give a service with a role, and a bucket in each of two regions."""
    app = {
        "Role": resource("AWS::IAM::Role"),
        "Service": resource(
            "AWS::ECS::Service",
            Cluster="main",
            DesiredCount="2",
            Enabled="true",
            Networks=[{"Subnets": ["a", "b"]}],
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Later={"Ref": "Size"},
        ),
        "Log": resource("AWS::S3::Bucket", BucketName="log"),
    }
    app["Service"]["Metadata"] = {"aws:cdk:path": "App/Service/Resource"}
    app["Log"]["DeletionPolicy"] = "Retain"
    sections = {
        "Parameters": {"Size": {"Type": "Number"}},
        "Outputs": {"Told": {"Value": {"Ref": "Service"}, "Export": {"Name": "service"}}},
    }
    there = {
        "Copy": resource("AWS::S3::Bucket", BucketName="log-replica"),
        "Database": resource("AWS::RDS::DBCluster", DBClusterIdentifier="Main"),
        "User": resource("Test::User", Bucket="log", Arn="arn:aws:s3:::log-replica/*"),
    }
    return model_of(
        tmp_path,
        StackFile(app, sections=sections),
        StackFile(there, id="There", region="us-east-2"),
    )


def test_properties_are_had_by_their_path(model: Model) -> None:
    (service,) = model.resources_of("AWS::ECS::Service")
    assert "b" == service.get("Networks.0.Subnets.1")
    assert service.get("Networks.7.Subnets") is None
    assert service.get("No.Such.Thing") is None
    assert 2 == service.number("DesiredCount")
    assert service.flag("Enabled") is True
    assert service.flag("Missing", default=True) is True
    assert service.text("Missing", "x") == "x"


def test_below_an_unknown_value_everything_is_unknown(model: Model) -> None:
    (service,) = model.resources_of("AWS::ECS::Service")
    assert isinstance(service.get("Later.Deeper"), Unknown)
    assert service.has("Later.Deeper")
    assert service.number("Later", 7) is None
    assert service.flag("Later") is None
    assert service.text("Later") is None


def test_references_are_followed_both_ways(model: Model) -> None:
    (service,) = model.resources_of("AWS::ECS::Service")
    (role,) = model.resources_of("AWS::IAM::Role")
    assert role == model.resource(service.get("Role"))
    assert (service,) == model.referrers(role)
    assert () == model.referrers(role, "AWS::IAM::Policy")
    assert (Reference("App", "Role", "Arn"),) == service.references


def test_a_resource_knows_its_stack_its_path_and_its_policies(model: Model) -> None:
    (service,) = model.resources_of("AWS::ECS::Service")
    assert ("App", "us-east-1", "App/Service/Resource") == (
        service.stack,
        service.region,
        service.path,
    )
    log, copy = model.resources_of("AWS::S3::Bucket")
    assert "App/Log" == log.path
    assert ("Retain", None) == (log.deletion_policy, copy.deletion_policy)
    assert "App.Log" == str(log)


def test_a_stack_names_resources_by_their_paths_also_those_it_does_not_hold(model: Model) -> None:
    (stack, _) = model.stacks
    named = [stack.path(logical_id) for logical_id in ("Service", "Log", "Dropped")]
    assert ["App/Service/Resource", "App/Log", "App/Dropped"] == named


@pytest.mark.parametrize(
    ("value", "region", "found"),
    [
        (Reference("App", "Log", "Arn"), None, "Log"),
        ("log", None, "Log"),
        ("log", "us-east-2", None),
        ("arn:aws:s3:::log", None, "Log"),
        ("arn:aws:s3:::log-replica/*", None, "Copy"),
        ("arn:aws:s3:eu-west-1::log", None, None),
        ("other", None, None),
        (7, None, None),
    ],
)
def test_a_resource_is_found_by_reference_name_or_arn(
    model: Model, value: Any, region: str | None, found: str | None
) -> None:
    resource = model.find(value, "AWS::S3::Bucket", region=region)
    assert found == (resource and resource.logical_id)


def test_names_of_databases_are_compared_in_lower_case(model: Model) -> None:
    assert model.find("MAIN", "AWS::RDS::DBCluster") is not None
    assert "main" == model.resources_of("AWS::RDS::DBCluster")[0].name


def test_a_name_that_is_only_partly_known_is_found_when_both_say_the_same(tmp_path: Path) -> None:
    name = {"Fn::Sub": "log-${AWS::AccountId}"}
    here = {"Log": resource("AWS::S3::Bucket", BucketName=name)}
    there = {"User": resource("Test::User", Bucket=name, Other={"Fn::Sub": "x-${AWS::AccountId}"})}
    model = model_of(
        tmp_path, StackFile(here, account=None), StackFile(there, id="There", account=None)
    )
    (user,) = model.resources_of("Test::User")
    assert model.find(user.get("Bucket"), "AWS::S3::Bucket") is not None
    assert model.find(user.get("Other"), "AWS::S3::Bucket") is None


def test_a_resource_behind_a_false_condition_is_not_there(tmp_path: Path) -> None:
    resources = {
        name: {"Type": "AWS::SNS::Topic", "Condition": name} for name in ("Yes", "No", "Maybe")
    }
    sections = {
        "Parameters": {"Open": {"Type": "String"}},
        "Conditions": {
            "Yes": {"Fn::Equals": ["a", "a"]},
            "No": {"Fn::Equals": ["a", "b"]},
            "Maybe": {"Fn::Equals": [{"Ref": "Open"}, "b"]},
        },
    }
    model = model_of(tmp_path, StackFile(resources, sections=sections))
    assert {"Yes": True, "Maybe": False} == {
        item.logical_id: item.is_certain for item in model.resources
    }


def test_outputs_and_their_exports_are_told(model: Model) -> None:
    output = model.stacks[0].outputs["Told"]
    assert ("service", Reference("App", "Service")) == (output.export, output.value)

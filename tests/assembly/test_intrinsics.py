"""What each intrinsic function resolves to, known and unknown, across stacks and regions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import ACCOUNT, StackFile, write_assembly

from evertill.assembly import Model, Reference, TemplateMalformed, Text, Unknown, read

SECTIONS: dict[str, Any] = {
    "Parameters": {
        "Size": {"Type": "Number", "Default": 3},
        "Names": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Open": {"Type": "String"},
        "Image": {
            "Type": "AWS::SSM::Parameter::Value<String>",
            "Default": "/images/latest",
        },
    },
    "Mappings": {"Zones": {"us-east-1": {"count": 3}}},
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Maybe": {"Fn::Equals": [{"Ref": "Open"}, "x"]},
        "NoAnyway": {"Fn::And": [{"Condition": "Maybe"}, {"Condition": "No"}]},
        "YesAnyway": {"Fn::Or": [{"Condition": "Maybe"}, {"Condition": "Yes"}]},
    },
}
OPEN = Unknown("parameter Open of App")
BUCKET = Reference("App", "Bucket")


def resolved(value: Any, tmp_path: Path, **given: Any) -> Any:
    resources = {
        "Probe": {"Type": "Test::Probe", "Properties": {"Value": value}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Held": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/images/latest", "Value": "image-7"},
        },
    }
    folder = write_assembly(tmp_path, StackFile(resources, sections=SECTIONS))
    (probe,) = read(folder, **given).resources_of("Test::Probe")
    return probe.get("Value")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "AWS::AccountId"}, ACCOUNT),
        ({"Ref": "AWS::Partition"}, "aws"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Ref": "AWS::StackName"}, "App"),
        ({"Ref": "AWS::StackId"}, Unknown("AWS::StackId of App")),
        ({"Ref": "Size"}, 3),
        ({"Ref": "Names"}, ["a", "b"]),
        ({"Ref": "Open"}, OPEN),
        ({"Ref": "Image"}, "image-7"),
        ("{{resolve:ssm:/images/latest}}", "image-7"),
        ("{{resolve:ssm:/elsewhere:2}}", Unknown("SSM parameter /elsewhere")),
        ({"Ref": "Bucket"}, BUCKET),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, Reference("App", "Bucket", "Arn")),
        ({"Fn::GetAtt": "Bucket.Arn"}, Reference("App", "Bucket", "Arn")),
        ({"Fn::Join": ["-", ["a", {"Ref": "Size"}, "b"]]}, "a-3-b"),
        ({"Fn::Join": ["", ["a", {"Ref": "Bucket"}]]}, Text(("a", BUCKET))),
        ({"Fn::Join": [",", {"Ref": "Names"}]}, "a,b"),
        ({"Fn::Sub": "${AWS::Region}/${Bucket}/*"}, Text(("us-east-1/", BUCKET, "/*"))),
        ({"Fn::Sub": "${Bucket.Arn}"}, Reference("App", "Bucket", "Arn")),
        ({"Fn::Sub": ["${x}-${!Kept}", {"x": {"Ref": "Size"}}]}, "3-${Kept}"),
        ({"Fn::Select": ["1", {"Ref": "Names"}]}, "b"),
        ({"Fn::Select": [2, {"Fn::Split": [":", "a:b:c"]}]}, "c"),
        ({"Fn::If": ["Yes", "then", "else"]}, "then"),
        ({"Fn::If": ["No", "then", "else"]}, "else"),
        ({"Fn::If": ["NoAnyway", "then", "else"]}, "else"),
        ({"Fn::If": ["YesAnyway", "then", "else"]}, "then"),
        ({"Fn::If": ["Maybe", "then", "else"]}, Unknown("the condition Maybe")),
        ({"Fn::If": ["Maybe", {"Ref": "Bucket"}, 1]}, Unknown("the condition Maybe", (BUCKET,))),
        ({"Fn::FindInMap": ["Zones", {"Ref": "AWS::Region"}, "count"]}, 3),
        ({"Fn::FindInMap": ["Zones", "eu-west-1", "count", {"DefaultValue": 2}]}, 2),
        ({"Fn::Base64": "hello"}, "aGVsbG8="),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Length": {"Ref": "Names"}}, 2),
        ({"Fn::ToJsonString": {"a": 1}}, '{"a":1}'),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [1, {"Ref": "AWS::NoValue"}]}, {"b": [1]}),
        ({"Fn::ImportValue": "foreign"}, Unknown("import of foreign")),
        ({"Fn::Transform": {"Name": "X"}}, Unknown("Fn::Transform")),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_an_intrinsic_resolves(value: Any, expected: Any, tmp_path: Path) -> None:
    assert expected == resolved(value, tmp_path)


def test_zones_are_those_that_were_given(tmp_path: Path) -> None:
    zones = {"us-east-1": ["us-east-1a", "us-east-1b"]}
    second = {"Fn::Select": [1, {"Fn::GetAZs": ""}]}
    assert "us-east-1b" == resolved(second, tmp_path, zones=zones)


def test_two_zones_that_are_not_known_are_still_told_apart(tmp_path: Path) -> None:
    first, second, again = resolved(
        [{"Fn::Select": [n, {"Fn::GetAZs": {"Ref": "AWS::Region"}}]} for n in (0, 1, 0)], tmp_path
    )
    assert first == again != second


def test_what_is_made_of_a_reference_still_tells_what_it_refers_to(tmp_path: Path) -> None:
    value = resolved({"Fn::Select": [0, {"Fn::Split": ["/", {"Ref": "Bucket"}]}]}, tmp_path)
    assert isinstance(value, Unknown)
    assert (BUCKET,) == value.sources


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"Ref": "Nothing"}, "Nothing is neither a resource nor a parameter"),
        ({"Ref": ["Bucket"]}, "Ref takes a name"),
        ({"Fn::GetAtt": "Bucket"}, "takes a resource and an attribute"),
        ({"Fn::Join": "a"}, "Fn::Join takes a list of 2"),
        ({"Fn::Join": ["", [["a"]]]}, "needs a string"),
        ({"Fn::Select": [5, ["a"]]}, "asks for item 5 of 1"),
        ({"Fn::Select": ["x", ["a"]]}, "takes a number"),
        ({"Fn::Split": ["", "a"]}, "takes a separator"),
        ({"Fn::Sub": ["a", "b", "c"]}, "Fn::Sub takes a string"),
        ({"Fn::Sub": "${Names}"}, "needs a string where Names is a list"),
        ({"Fn::If": ["Yes"]}, "takes a condition and two values"),
        ({"Fn::If": ["Nope", 1, 2]}, "there is no condition Nope"),
        ({"Fn::FindInMap": ["Zones", "a", "b"]}, "no mapping has Zones.a.b"),
        ({"Fn::Cidr": ["10.0.0.0/30", 200, 1]}, "Fn::Cidr finds no 200 subnets"),
        ({"Fn::Cidr": ["nonsense", 1, 8]}, "cannot cut nonsense"),
        ({"Fn::Cidr": ["10.0.0.0/8", 1000000, 8]}, "gives 1 to 256 subnets"),
    ],
)
def test_what_cloudformation_would_refuse_is_one_sentence_with_its_place(
    value: Any, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(TemplateMalformed) as caught:
        resolved(value, tmp_path)
    assert "App, Probe: " in str(caught.value)
    assert complaint in str(caught.value)


def exporter(region: str, value: Any, stack_id: str) -> StackFile:
    outputs = {"Out": {"Value": value, "Export": {"Name": "shared"}}}
    return StackFile(
        {"Thing": {"Type": "AWS::S3::Bucket"}},
        id=stack_id,
        region=region,
        sections={"Outputs": outputs},
    )


def importer(region: str, stack_id: str = "App") -> StackFile:
    probe = {
        "Type": "Test::Probe",
        "Properties": {"Value": {"Fn::ImportValue": {"Fn::Sub": "shared"}}},
    }
    return StackFile({"Probe": probe}, id=stack_id, region=region)


def probed(model: Model) -> Any:
    return model.resources_of("Test::Probe")[0].get("Value")


def test_an_import_is_what_a_stack_of_the_same_region_exports(tmp_path: Path) -> None:
    east = exporter("us-east-1", {"Ref": "Thing"}, "East")
    west = exporter("us-west-2", {"Ref": "Thing"}, "West")
    model = read(write_assembly(tmp_path, importer("us-west-2"), east, west))
    assert Reference("West", "Thing") == probed(model)


def test_an_import_never_crosses_regions(tmp_path: Path) -> None:
    east = exporter("us-east-1", "x", "East")
    model = read(write_assembly(tmp_path, importer("us-west-2"), east))
    assert Unknown("import of shared") == probed(model)


def test_an_import_of_an_import_is_resolved_in_any_order(tmp_path: Path) -> None:
    relay = StackFile(
        {"Thing": {"Type": "AWS::S3::Bucket"}},
        id="Relay",
        sections={
            "Outputs": {"O": {"Value": {"Fn::ImportValue": "first"}, "Export": {"Name": "shared"}}}
        },
    )
    first = StackFile(
        {"Thing": {"Type": "AWS::S3::Bucket"}},
        id="First",
        sections={"Outputs": {"O": {"Value": "deep", "Export": {"Name": "first"}}}},
    )
    model = read(write_assembly(tmp_path, importer("us-east-1"), relay, first))
    assert "deep" == probed(model)


HASH = "ab" * 32
NESTED_FILE = "nest.nested.template.json"


@pytest.mark.parametrize(
    "told",
    [
        {"Metadata": {"aws:asset:path": NESTED_FILE}},
        {"Properties": {"TemplateURL": {"Fn::Sub": f"https://s3/${{AWS::Region}}/{HASH}.json"}}},
    ],
    ids=["by its metadata", "by the hash in its URL"],
)
def test_a_nested_stack_takes_its_parents_values_and_gives_its_outputs(
    told: dict[str, Any], tmp_path: Path
) -> None:
    nested = {
        "Parameters": {"Given": {"Type": "String"}},
        "Resources": {
            "Inner": {"Type": "Test::Inner", "Properties": {"Value": {"Ref": "Given"}}},
        },
        "Outputs": {"Told": {"Value": {"Ref": "Inner"}}},
    }
    properties = {**told.get("Properties", {}), "Parameters": {"Given": {"Ref": "Bucket"}}}
    parent = StackFile(
        {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Nest": {**told, "Type": "AWS::CloudFormation::Stack", "Properties": properties},
            "Probe": {
                "Type": "Test::Probe",
                "Properties": {"Value": {"Fn::GetAtt": ["Nest", "Outputs.Told"]}},
            },
        }
    )
    folder = write_assembly(tmp_path, parent)
    (folder / NESTED_FILE).write_text(json.dumps(nested))
    assets = {"files": {HASH: {"source": {"path": NESTED_FILE}}}}
    (folder / "App.assets.json").write_text(json.dumps(assets))
    model = read(folder)
    (inner,) = model.resources_of("Test::Inner")
    assert BUCKET == inner.get("Value")
    assert Reference("App/Nest", "Inner") == probed(model)
    assert inner == model.resource(probed(model))

"""What may be read, and in which words everything else is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.templates import StackFile, resource, write_assembly

from evertill.assembly import AssemblyUnreadable, Model, TemplateMalformed, read
from evertill.assembly.limits import JSON_DEPTH_MAX, RESOURCES_PER_STACK_MAX
from evertill.domain.errors import UsageError

TOPIC = {"Topic": resource("AWS::SNS::Topic")}


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_stack_knows_its_place_and_what_it_waits_for(tmp_path: Path) -> None:
    stacks = (
        StackFile(TOPIC, id="A", region="eu-west-1", name="payments"),
        StackFile(TOPIC, id="B", region="us-east-1", name="payments", dependencies=("A",)),
        StackFile(TOPIC, id="C", region=None, account=None),
    )
    model = read(write_assembly(tmp_path, *stacks))
    assert [("A", "payments", "eu-west-1"), ("B", "payments", "us-east-1"), ("C", "C", None)] == [
        (stack.id, stack.name, stack.region) for stack in model.stacks
    ]
    assert ("A",) == model.stacks[1].dependencies
    assert ("eu-west-1", "us-east-1") == model.regions


def test_a_folder_of_templates_without_a_manifest_will_do(tmp_path: Path) -> None:
    (tmp_path / "one.template.json").write_text(json.dumps({"Resources": TOPIC}))
    (tmp_path / "notes.json").write_text("not ours")
    model = read(tmp_path)
    assert ["one"] == [stack.id for stack in model.stacks]
    assert model.stacks[0].region is None


@pytest.mark.parametrize(
    ("name", "zone", "region"),
    [
        ("data-us-east-2", None, "us-east-2"),
        ("data", "eu-west-1b", "eu-west-1"),
        ("data", "dummy1a", None),
        ("us-gov-west-1-data", None, "us-gov-west-1"),
    ],
)
def test_a_lone_template_may_tell_its_region(
    name: str, zone: str | None, region: str | None, tmp_path: Path
) -> None:
    template = {"Resources": {"S": resource("AWS::EC2::Subnet", AvailabilityZone=zone)}}
    (tmp_path / f"{name}.template.json").write_text(json.dumps(template))
    assert region == read(tmp_path).stacks[0].region


def test_a_stack_names_the_template_it_was_read_from(tmp_path: Path) -> None:
    (stack,) = read(write_assembly(tmp_path, StackFile(TOPIC))).stacks
    assert tmp_path.resolve() / "App.template.json" == stack.file


def test_the_stacks_of_a_stage_are_read_too(tmp_path: Path) -> None:
    write_assembly(tmp_path / "assembly-Prod", StackFile(TOPIC, id="ProdApp"))
    stage = {
        "type": "cdk:cloud-assembly",
        "properties": {"directoryName": "assembly-Prod", "displayName": "Prod"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"Prod": stage}}))
    assert ["ProdApp"] == [stack.id for stack in read(tmp_path).stacks]


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("manifest.json", "{", "is not JSON"),
        ("manifest.json", "[]", "is not the manifest"),
        ("manifest.json", '{"artifacts": []}', "is not the manifest"),
        ("manifest.json", '{"artifacts": {"A": 1}}', "A is no JSON object"),
        ("manifest.json", "{}", "holds no stack"),
        ("manifest.json", ('{"artifacts": {"A": {"type": "aws:cloudformation:stack", '
         '"properties": {"templateFile": "../../etc/passwd"}}}}'), "leads outside its folder"),
        ("manifest.json", ('{"artifacts": {"A": {"type": "aws:cloudformation:stack", '
         '"properties": {}}}}'), "names no file"),
        ("manifest.json", ('{"artifacts": {"A": {"type": "aws:cloudformation:stack", '
         '"properties": {"templateFile": "gone.json"}}}}'), "gone.json cannot be read"),
        ("a.template.json", b"\xff\xfe", "is not JSON"),
        ("a.template.json", "[]", "is no JSON object"),
        (
            "a.template.json",
            '{"Resources": {"X": {"Type": "T", "DependsOn": null}}}',
            "DependsOn takes",
        ),
        ("a.template.json", "{}", "has no Resources"),
        ("a.template.json", '{"Resources": []}', "Resources is no JSON object"),
        ("a.template.json", '{"Resources": {"X": {}}}', "the resource X has no Type"),
        ("a.template.json", '{"Resources": {"X": {"Type": "T", "Properties": 1}}}',
         "Properties of X"),
        ("a.template.json", '{"Resources": {"X": {"Type": "T"}}, "Outputs": {"O": 1}}',
         "an output is a JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence(
    file: str, content: str | bytes, complaint: str, tmp_path: Path
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / file).write_bytes(data)
    assert complaint in refused(tmp_path)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a folder" in refused(tmp_path / "nowhere")
    assert "holds no stack" in refused(tmp_path)


def test_deep_nesting_is_refused_before_anything_recurses(tmp_path: Path) -> None:
    for depth in (JSON_DEPTH_MAX + 10, 100_000):
        deep = "[" * depth + "]" * depth
        text = '{"Resources": {"X": {"Type": "T", "Properties": {"A": ' + deep + "}}}}"
        (tmp_path / "a.template.json").write_text(text)
        assert "nested deeper" in refused(tmp_path)


def test_too_many_resources_are_refused(tmp_path: Path) -> None:
    many = {f"R{n}": {"Type": "T"} for n in range(RESOURCES_PER_STACK_MAX + 1)}
    (tmp_path / "a.template.json").write_text(json.dumps({"Resources": many}))
    assert "more than" in refused(tmp_path)


def chained(length: int, width: int) -> dict[str, Any]:
    """Return exports of which each joins the one before several times over."""
    outputs: dict[str, Any] = {"O0": {"Value": "x" * 100, "Export": {"Name": "n0"}}}
    for n in range(1, length):
        parts = [{"Fn::ImportValue": f"n{n - 1}"}] * width
        outputs[f"O{n}"] = {"Value": {"Fn::Join": ["", parts]}, "Export": {"Name": f"n{n}"}}
    return outputs


def test_a_few_intrinsics_cannot_grow_without_bound(tmp_path: Path) -> None:
    bomb = StackFile(TOPIC, sections={"Outputs": chained(20, 20)})
    assert re.search(r"makes more than \d+ characters", refused(write_assembly(tmp_path, bomb)))


def test_circles_of_conditions_and_nested_stacks_end(tmp_path: Path) -> None:
    conditions = {"A": {"Condition": "B"}, "B": {"Condition": "A"}}
    circle = {"Topic": {"Type": "AWS::SNS::Topic", "Condition": "A"}}
    folder = write_assembly(tmp_path, StackFile(circle, sections={"Conditions": conditions}))
    assert "in a circle" in refused(folder)


def test_exports_that_import_each_other_stay_unknown(tmp_path: Path) -> None:
    outputs = {
        "A": {"Value": {"Fn::ImportValue": "b"}, "Export": {"Name": "a"}},
        "B": {"Value": {"Fn::ImportValue": "a"}, "Export": {"Name": "b"}},
    }
    model: Model = read(write_assembly(tmp_path, StackFile(TOPIC, sections={"Outputs": outputs})))
    assert {"A", "B"} == set(model.stacks[0].outputs)


def test_errors_of_both_kinds_are_usage_errors() -> None:
    assert issubclass(AssemblyUnreadable, UsageError)
    assert issubclass(TemplateMalformed, UsageError)

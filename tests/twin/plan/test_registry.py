"""Every resource type has a fate, and what has none is refused by name before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.assembly import shared_assembly
from tests.support.templates import StackFile, resource, write_assembly

from evertill.assembly import AssemblyUnreadable
from evertill.cli import main
from evertill.twin.plan.plan import plan_of
from evertill.twin.plan.reading import read_model
from evertill.twin.registry import (
    TABLE,
    Fate,
    Unsupported,
    refuse_unsupported,
    resources_by_fate,
    verdict_on,
)
from evertill.twin.registry_table import ENFORCED, NO_EFFECT, RUN, UNSUPPORTED

FOREIGN = Path(__file__).parents[1] / "assemblies" / "foreign"


def test_every_entry_is_a_sentence_and_stands_in_one_group_only() -> None:
    groups = (RUN, ENFORCED, NO_EFFECT, UNSUPPORTED)
    assert len(TABLE) == sum(map(len, groups))
    assert [] == [kind for kind, verdict in TABLE.items() if not verdict.sentence.endswith(".")]
    assert [] == [list(group) for group in (RUN, ENFORCED) if list(group) != sorted(group)]


@pytest.mark.parametrize("environment", ["dev", "prod", "single"])
def test_our_own_templates_hold_nothing_that_is_refused(
    tmp_path_factory: pytest.TempPathFactory, environment: str
) -> None:
    plan = plan_of(shared_assembly(tmp_path_factory, environment).folder)
    assert () == resources_by_fate(plan.model, Fate.UNSUPPORTED)
    assert () == plan.absent


def test_a_type_that_nothing_stands_for_is_refused_by_name(tmp_path: Path) -> None:
    stack = StackFile(
        {
            "Topic": resource("AWS::SNS::Topic"),
            "Queue": resource("AWS::SQS::Queue"),
            "Thing": resource("AWS::Quantum::Computer"),
            "Own": resource("Custom::Migrate", ServiceToken="arn"),
        }
    )
    model = read_model(write_assembly(tmp_path, stack))
    with pytest.raises(Unsupported) as refused:
        refuse_unsupported(model)
    told = str(refused.value)
    for named in ("App.Queue (AWS::SQS::Queue)", "App.Thing (AWS::Quantum::Computer)", "App.Own"):
        assert named in told
    assert "Topic" not in told


def test_the_command_refuses_or_lists_what_is_not_represented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = StackFile({"Queue": resource("AWS::SQS::Queue"), "Topic": resource("AWS::SNS::Topic")})
    folder = str(write_assembly(tmp_path, stack))
    assert 1 == main(["twin", "plan", folder])
    assert "App.Queue (AWS::SQS::Queue): No queue is kept here." in capsys.readouterr().err
    assert 0 == main(["twin", "plan", folder, "--allow-unsupported"])
    assert "not represented" in capsys.readouterr().out


def test_an_image_that_nothing_stands_for_is_refused_like_an_unknown_type(
    tmp_path: Path,
) -> None:
    task = resource(
        "AWS::ECS::TaskDefinition",
        Family="web",
        ContainerDefinitions=[{"Name": "web", "Image": "nginx:1.27"}],
    )
    service = resource("AWS::ECS::Service", ServiceName="web", TaskDefinition={"Ref": "Task"})
    stack = StackFile({"Task": task, "Service": service})
    folder = write_assembly(tmp_path, stack)
    with pytest.raises(Unsupported, match=r"App\.Service .*nginx:1\.27"):
        plan_of(folder)
    plan = plan_of(folder, allows_unsupported=True)
    assert () == plan.services
    assert 1 == len(plan.absent)


def test_a_folder_without_templates_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(AssemblyUnreadable):
        read_model(tmp_path / "nowhere")


def test_the_fate_of_a_type_says_why() -> None:
    assert Fate.ENFORCED is verdict_on("AWS::EC2::SecurityGroup").fate
    assert Fate.NO_EFFECT is verdict_on("Custom::VpcRestrictDefaultSG").fate
    assert Fate.UNSUPPORTED is verdict_on("Custom::Anything").fate

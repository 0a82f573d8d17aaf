"""The order of a first deployment, and a deployment to a single region."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.assembly import Assembly
from tests.support.synthesis import single_region

from evertill.infrastructure.__main__ import _clear
from evertill.infrastructure.rollout import Step, script, steps
from evertill.infrastructure.settings import read_environment, read_settings


def order() -> tuple[Step, ...]:
    return steps(read_environment("dev"))


def place(stack: str, found: tuple[Step, ...]) -> int:
    return next(number for number, step in enumerate(found) if stack in step.stacks)


def test_every_stack_is_deployed(dev: Assembly) -> None:
    assert set(dev.stacks()) == {stack for step in order() for stack in step.stacks}


def test_what_is_found_by_name_is_there_before_it_is_looked_for() -> None:
    found = order()
    chain = ["keys-us-east-2", "global-us-east-1", "data-us-east-1", "data-us-east-2"]
    places = [place(stack, found) for stack in chain]
    assert sorted(places) == places
    assert place("dns-us-east-1", found) < place("service-us-east-1", found)


def test_the_schema_is_there_before_anything_serves() -> None:
    found = order()
    migrating = place("migration-us-east-1", found)
    assert "sh deploy/once.sh us-east-1 dev migrate" == found[migrating].then
    assert migrating < min(
        place(f"service-{region}", found) for region in ("us-east-1", "us-east-2")
    )


def test_buckets_come_first_and_rules_second() -> None:
    active = [step.replication for step in order() if "data-us-east-1" in step.stacks]
    assert [False, True] == active


def test_the_commands_name_their_environment_and_deploy_nothing_else() -> None:
    commands = [
        line
        for line in script(read_environment("dev"), "environment=dev").splitlines()
        if " deploy " in line
    ]
    assert len(order()) == len(commands)
    assert all(" --exclusively -c environment=dev" in command for command in commands)
    assert 1 == sum("-c replication=false" in command for command in commands)


def test_aws_backup_is_told_to_take_aurora_in_both_regions() -> None:
    lines = script(read_environment("dev"), "environment=dev").splitlines()
    told = [line for line in lines if "update-region-settings" in line]
    assert 2 == len(told)
    assert all(line.endswith("Aurora=true") for line in told)


def test_no_stack_waits_for_another_region(assembly: Assembly) -> None:
    manifest = json.loads((assembly.folder / "manifest.json").read_text())
    region = re.compile(r"us-[a-z]+-\d$")
    crossing = [
        (name, other)
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
        for other in artifact.get("dependencies", [])
        if region.search(other) and region.findall(name) != region.findall(other)
    ]
    assert [] == crossing


def test_no_template_reads_another_regions_stack(assembly: Assembly) -> None:
    for stack in assembly.stacks():
        text = json.dumps(assembly.template(stack))
        assert "Fn::GetStackOutput" not in text
        assert "ExportsReader" not in text


def test_a_single_region_copies_nowhere(single: Assembly) -> None:
    assert not [stack for stack in single.stacks() if "us-east-2" in stack]
    assert "us-east-2" not in json.dumps(single.template("data-us-east-1"))
    assert "ReplicationConfiguration" not in json.dumps(single.template("data-us-east-1"))


def test_a_single_region_has_no_alarm_about_which_role_it_has(single: Assembly) -> None:
    assert "region-writer" not in json.dumps(single.template("watch-us-east-1"))


def test_a_standby_can_be_added_to_a_single_region_later(single: Assembly) -> None:
    # No update makes a cluster join: it is a member from the beginning, or it is made anew.
    joined = single.only("global-us-east-1", "AWS::RDS::GlobalCluster")
    cluster = single.only("data-us-east-1", "AWS::RDS::DBCluster")
    assert joined["GlobalClusterIdentifier"] == cluster["GlobalClusterIdentifier"]


def test_a_single_region_still_holds_its_authority_by_a_lease(single: Assembly) -> None:
    table = single.only("global-us-east-1", "AWS::DynamoDB::GlobalTable")
    assert ["us-east-1"] == [replica["Region"] for replica in table["Replicas"]]
    assert "GlobalTableWitnesses" not in table


def test_a_single_region_needs_no_second_phase(tmp_path: Path) -> None:
    path = tmp_path / "single.toml"
    path.write_text(single_region())
    found = steps(read_settings(path))
    assert all(step.replication for step in found)
    assert 1 == sum("data-us-east-1" in step.stacks for step in found)


def test_an_account_is_never_asked_for_its_zones(first: Assembly) -> None:
    manifest = json.loads((first.folder / "manifest.json").read_text())
    assert "missing" not in manifest
    assert "dummy1" not in "".join(json.dumps(first.template(s)) for s in first.stacks())


def test_an_earlier_assembly_does_not_stay(tmp_path: Path) -> None:
    earlier, foreign = tmp_path / "cdk.out", tmp_path / "photographs"
    for folder in (earlier, foreign):
        folder.mkdir()
        (folder / "service-us-west-9.template.json").write_text("{}")
    (earlier / "manifest.json").write_text("{}")
    _clear(earlier)
    _clear(foreign)
    assert not earlier.exists()
    assert foreign.exists()

"""A platform that does everything right gives no finding, in any way that it may be written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.support.breaking import GONE, Case
from tests.support.platform import platform
from tests.support.templates import resource, write_assembly

from evertill.assembly import read
from evertill.checks import check


def test_a_platform_that_breaks_no_rule_gives_no_finding(tmp_path: Path) -> None:
    assert [] == check(read(write_assembly(tmp_path, *platform().values())))


def test_neither_does_one_whose_account_is_not_known(tmp_path: Path) -> None:
    stacks = [replace(stack, account=None) for stack in platform().values()]
    assert [] == check(read(write_assembly(tmp_path, *stacks)))


def test_neither_do_its_templates_one_by_one_without_a_manifest(tmp_path: Path) -> None:
    for name, stack in platform().items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.template.json").write_text(json.dumps(stack.template))
        found = [finding for finding in check(read(folder)) if finding.rule != "replica-has-source"]
        assert [] == found


def test_a_replicated_secret_is_in_both_regions(tmp_path: Path) -> None:
    edits = {
        "active/Admin": resource(
            "AWS::SecretsManager::Secret", Name="admin", ReplicaRegions=[{"Region": "us-east-2"}]
        ),
        "standby/Task.Properties.ContainerDefinitions.0.Environment.6": {
            "Name": "ADMIN_SECRET",
            "Value": "admin",
        },
    }
    stacks = Case("", edits, "", "").stacks()
    assert [] == check(read(write_assembly(tmp_path, *stacks)))


def test_the_key_of_a_topic_may_go_with_its_stack(tmp_path: Path) -> None:
    edits = {"active/TopicKey": resource("AWS::KMS::Key")}
    assert [] == check(read(write_assembly(tmp_path, *Case("", edits, "", "").stacks())))


def test_an_arn_will_do_where_an_api_takes_both(tmp_path: Path) -> None:
    edits = {
        "active/Admin": resource("AWS::SecretsManager::Secret", Name="admin"),
        "active/Task.Properties.ContainerDefinitions.0.Environment.6": {
            "Name": "SECRET_NAME",
            "Value": {"Ref": "Admin"},
        },
    }
    assert [] == check(read(write_assembly(tmp_path, *Case("", edits, "", "").stacks())))


def test_a_chat_channel_hears_a_topic(tmp_path: Path) -> None:
    edits = {
        "active/Subscription": GONE,
        "active/Chat": resource(
            "AWS::Chatbot::SlackChannelConfiguration", SnsTopicArns=[{"Ref": "Topic"}]
        ),
    }
    assert [] == check(read(write_assembly(tmp_path, *Case("", edits, "", "").stacks())))

"""Tasks find their role's keys, their region's API, secrets and files around them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.aws import Aws

from evertill.twin.parts.identities import Keys
from evertill.twin.parts.storage import client_of
from evertill.twin.parts.surroundings import Around, SecretMissing, SecretSource, source_of

REGION = "us-east-1"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-ab12cd"


@pytest.mark.parametrize(
    ("value_from", "source"),
    [
        (ARN, SecretSource(ARN)),
        (f"{ARN}:password::", SecretSource(ARN, "password")),
        (f"{ARN}::AWSPREVIOUS:", SecretSource(ARN, "", "AWSPREVIOUS")),
        (f"{ARN}:password::v1", SecretSource(ARN, "password", "", "v1")),
        ("db", SecretSource("db")),
        ("db:password::", SecretSource("db", "password")),
    ],
)
def test_a_secret_is_named_in_the_forms_that_ecs_takes(
    value_from: str, source: SecretSource
) -> None:
    assert source == source_of(value_from)


def test_a_parameter_of_systems_manager_is_refused() -> None:
    with pytest.raises(SecretMissing, match="Systems Manager"):
        source_of("arn:aws:ssm:us-east-1:123456789012:parameter/db")


def around_of(
    url: str = "http://api",
    files: Mapping[str, Path] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Around:
    return Around(
        {REGION: url},
        lambda role: f"http://keys/{role}",
        keys,
        files or {},
        lambda *_: variables or {},
    )


def keys(role: str) -> Keys:
    return Keys(role, "ASIA1", "hush", "token", datetime.max.replace(tzinfo=UTC))


def test_a_function_is_given_its_roles_keys_as_they_are() -> None:
    around = around_of(variables={"SCALE": "10"})
    both = {"SCALE": "10", "AWS_ENDPOINT_URL": "http://api"}
    assert both == around.of_function(REGION, "")
    assert {
        **both,
        "AWS_ACCESS_KEY_ID": "ASIA1",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_SESSION_TOKEN": "token",
    } == around.of_function(REGION, "arn:role")


def test_a_task_without_a_role_is_given_no_keys() -> None:
    around = around_of(variables={"SCALE": "10"})
    both = {"SCALE": "10", "AWS_ENDPOINT_URL": "http://api"}
    assert both == around.environment(REGION, "", "task")
    assert {**both, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://keys/arn:role"} == (
        around.environment(REGION, "arn:role", "task")
    )


def test_files_are_those_that_were_supplied(tmp_path: Path) -> None:
    around = around_of(files={"authorities": tmp_path})
    assert tmp_path == around.file("authorities")
    assert around.file("other") is None


def test_a_secret_is_read_from_the_regions_api_whole_or_by_its_key(tmp_path: Path) -> None:
    aws = Aws(tmp_path)
    aws.start()
    try:
        text = json.dumps({"username": "root", "password": "hush"})
        client_of("secretsmanager", REGION, aws.url).create_secret(Name="db", SecretString=text)
        around = around_of(aws.url)
        assert text == asyncio.run(around.secret(REGION, "db"))
        assert "hush" == asyncio.run(around.secret(REGION, "db:password::"))
        with pytest.raises(SecretMissing, match="no key port"):
            asyncio.run(around.secret(REGION, "db:port::"))
        with pytest.raises(SecretMissing, match="nobody"):
            asyncio.run(around.secret(REGION, "nobody"))
    finally:
        aws.stop()

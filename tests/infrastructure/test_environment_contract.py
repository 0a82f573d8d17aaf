"""What the templates tell the containers is what the program reads, word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from scripts.validation_asset import AUTHORITIES_NAME
from tests.support.assembly import ROOT, Assembly

from evertill.commands import admin, running
from evertill.service import login
from evertill.service.settings import Settings, read_settings
from evertill.storage.provisioning import (
    ADMIN_URL_VARIABLE,
    VALIDATION_USER_VARIABLE,
    service_user,
)
from evertill.validation import settings as validation

REGIONS = ("us-east-1", "us-east-2")
SERVICE_VARIABLES = {f"EVERTILL_{field.upper()}" for field in Settings.__struct_fields__}
# Who reads the write lease asks for these by name.
LEASE_VARIABLES = {"EVERTILL_AUTHORITY_TABLE", "EVERTILL_AUTHORITY_REGIONS"}
FUNCTION_VARIABLES = {
    f"EVERTILL_{field.upper()}" for field in validation.Settings.__struct_fields__
}
MIGRATION_VARIABLES = {
    *(running.LOGIN_VARIABLE, admin.REGION_VARIABLE, admin.SECRET_VARIABLE),
    *(ADMIN_URL_VARIABLE, "EVERTILL_DATABASE_URL", VALIDATION_USER_VARIABLE),
}
STACKS = {"payment-service": "service", "payment-migration": "migration"}


def container(assembly: Assembly, region: str, family: str) -> dict[str, Any]:
    """Return the container of a task."""
    task = assembly.only(f"{STACKS[family]}-{region}", "AWS::ECS::TaskDefinition")
    assert task["Family"].startswith(family)
    (found,) = task["ContainerDefinitions"]
    return dict(found)


def environment(assembly: Assembly, region: str, family: str) -> dict[str, str]:
    """Return a container's variables, with a stand-in where CloudFormation fills in a host."""
    return {
        variable["Name"]: _resolved(variable["Value"])
        for variable in container(assembly, region, family)["Environment"]
    }


def _resolved(value: Any) -> str:
    if isinstance(value, str):
        return value
    if "Fn::Join" not in value:
        return "arn:aws:something:else"
    separator, parts = value["Fn::Join"]
    return str(separator.join(p if isinstance(p, str) else "db.internal" for p in parts))


@pytest.mark.parametrize("region", REGIONS)
def test_the_service_reads_every_variable_of_its_template(assembly: Assembly, region: str) -> None:
    given = environment(assembly, region, "payment-service")
    assert set(given) <= SERVICE_VARIABLES | LEASE_VARIABLES
    settings = read_settings(given)
    assert ("0.0.0.0", 8080) == (settings.host, settings.port)  # noqa: S104 - inside a task
    assert ("iam", region) == (settings.database_login, settings.region)
    assert all(map(callable, login.addresses(settings)))
    assert settings.log_bucket
    assert settings.events_topic_arn
    lease = {given["EVERTILL_AUTHORITY_TABLE"]}
    table = assembly.only("global-us-east-1", "AWS::DynamoDB::GlobalTable")
    assert {table["TableName"]} == lease
    # Its own region's copy first.
    regions = given["EVERTILL_AUTHORITY_REGIONS"].split(",")
    assert (region, set(REGIONS)) == (regions[0], set(regions))


@pytest.mark.parametrize("region", REGIONS)
def test_the_function_reads_every_variable_of_its_template(assembly: Assembly, region: str) -> None:
    function = assembly.only(f"service-{region}", "AWS::Lambda::Function")
    given = {k: _resolved(v) for k, v in function["Environment"]["Variables"].items()}
    assert set(given) <= FUNCTION_VARIABLES
    settings = validation.read_settings(given)
    assert ("iam", region) == (settings.database_login, settings.region)
    for address in (settings.writer(), settings.reader()):
        assert ("validation_user", True, None) == (
            address.user,
            address.is_encrypted,
            address.password,
        )
        assert f"/var/task/{AUTHORITIES_NAME}" == address.authorities
    assert "evertill.validation.handler.handle" == function["Handler"]


@pytest.mark.parametrize("region", REGIONS)
def test_both_endpoints_of_the_cluster_are_named_by_what_they_are(
    assembly: Assembly, region: str
) -> None:
    stack = f"service-{region}"
    task = container(assembly, region, "payment-service")["Environment"]
    function = assembly.only(stack, "AWS::Lambda::Function")["Environment"]["Variables"]
    for given in ({v["Name"]: v["Value"] for v in task}, function):
        writer, reader = given["EVERTILL_DATABASE_URL"], given["EVERTILL_DATABASE_READER_URL"]
        assert "ReadEndpoint" not in json.dumps(writer)
        assert "ReadEndpoint" in json.dumps(reader)


@pytest.mark.parametrize("region", REGIONS)
def test_tasks_may_hold_the_lease_and_publish_and_delete_nothing(
    assembly: Assembly, region: str
) -> None:
    statements = {
        statement["Sid"]: statement
        for name, policy in assembly.resources(f"service-{region}", "AWS::IAM::Policy").items()
        if name.startswith("ComputeTaskRole")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    }
    lease = statements["HoldLease"]
    assert ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"] == lease["Action"]
    assert all(f":dynamodb:{other}:" in json.dumps(lease["Resource"]) for other in REGIONS)
    assert "sns:Publish" == statements["PublishEvents"]["Action"]
    keys = [s for s in statements.values() if "kms:" in json.dumps(s["Action"])]
    services = {s["Condition"]["StringEquals"]["kms:ViaService"] for s in keys}
    assert {f"s3.{region}.amazonaws.com", f"sns.{region}.amazonaws.com"} == services
    assert "Delete" not in json.dumps(statements)


@pytest.mark.parametrize("family", ["payment-service", "payment-migration"])
def test_the_database_is_named_without_a_password_and_its_certificate_is_checked(
    assembly: Assembly, family: str
) -> None:
    given = environment(assembly, "us-east-1", family)
    for name in [name for name in given if name.endswith("DATABASE_URL")]:
        parts = conninfo_to_dict(given[name])
        assert "password" not in parts
        assert ("verify-full", "5432", "evertill") == (
            parts["sslmode"],
            str(parts["port"]),
            parts["dbname"],
        )


@pytest.mark.parametrize("region", REGIONS)
def test_the_migration_reads_its_variables_and_creates_the_login_that_the_service_uses(
    assembly: Assembly, region: str
) -> None:
    migration = environment(assembly, region, "payment-migration")
    assert MIGRATION_VARIABLES == set(migration)
    assert "iam" == migration[running.LOGIN_VARIABLE]
    serves = conninfo_to_dict(
        environment(assembly, region, "payment-service")["EVERTILL_DATABASE_URL"]
    )
    assert service_user(migration) == serves["user"] == "payment_user"
    assert "validation_user" == migration[VALIDATION_USER_VARIABLE]
    # The administrator's login comes from the secret, and so does its name.
    assert "user" not in conninfo_to_dict(migration[ADMIN_URL_VARIABLE])


def test_iam_lets_each_in_as_itself_only(assembly: Assembly) -> None:
    for region in REGIONS:
        policies = assembly.resources(f"service-{region}", "AWS::IAM::Policy")
        grants = {
            name.partition("Role")[0]: statement["Resource"]["Fn::Join"][1][-1]
            for name, policy in policies.items()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Action"] == "rds-db:connect"
        }
        assert {"ComputeTask": "/payment_user", "Validation": "/validation_user"} == grants
        cluster = assembly.only(f"data-{region}", "AWS::RDS::DBCluster")
        assert cluster["EnableIAMDatabaseAuthentication"] is True


def test_the_image_has_the_user_the_folders_and_the_authorities_that_the_task_expects(
    dev: Assembly,
) -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    found = container(dev, "us-east-1", "payment-service")
    (mount,) = found["MountPoints"]
    assert f"USER {found['User']}" in image
    assert f'VOLUME ["{mount["ContainerPath"]}"]' in image
    assert f"    TMPDIR={mount['ContainerPath']}" in image
    url = environment(dev, "us-east-1", "payment-service")["EVERTILL_DATABASE_URL"]
    authorities = str(conninfo_to_dict(url)["sslrootcert"])
    assert any(line.endswith(f" {authorities}") for line in image)
    (port,) = found["PortMappings"]
    assert f"EXPOSE {port['ContainerPort']}" in image


def test_the_image_starts_the_program_itself_and_stands_on_digests(dev: Assembly) -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-P", "-m", "evertill.cli"]' in image
    assert ["serve"] == container(dev, "us-east-1", "payment-service")["Command"]
    stages = [line for line in image.splitlines() if line.startswith("FROM ")]
    assert stages
    assert all("${BASE_IMAGE}@${BASE_DIGEST}" in stage for stage in stages)
    # Required, for a default would be a digest that somebody made up.
    assert "ARG BASE_DIGEST\n" in image
    assert "ARG RDS_CA_CHECKSUM\n" in image

"""What the templates tell the containers is what the program reads, word for word."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.support.assembly import ROOT, Assembly

from evertill.commands import admin, running
from evertill.service import login
from evertill.service.settings import Settings, read_settings
from evertill.storage.provisioning import ADMIN_URL_VARIABLE, service_user

REGIONS = ("us-east-1", "us-east-2")
SERVICE_VARIABLES = {f"EVERTILL_{field.upper()}" for field in Settings.__struct_fields__}
MIGRATION_VARIABLES = {
    *(running.LOGIN_VARIABLE, admin.REGION_VARIABLE, admin.SECRET_VARIABLE),
    *(ADMIN_URL_VARIABLE, "EVERTILL_DATABASE_URL"),
}


def container(assembly: Assembly, region: str, family: str) -> dict[str, Any]:
    """Return the container of a task."""
    tasks = assembly.properties(f"service-{region}", "AWS::ECS::TaskDefinition")
    (task,) = [task for task in tasks if task["Family"].startswith(family)]
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
    separator, parts = value["Fn::Join"]
    return str(separator.join(p if isinstance(p, str) else "db.internal" for p in parts))


@pytest.mark.parametrize("region", REGIONS)
def test_the_service_reads_every_variable_of_its_template(assembly: Assembly, region: str) -> None:
    given = environment(assembly, region, "payment-service")
    assert set(given) <= SERVICE_VARIABLES
    settings = read_settings(given)
    assert ("0.0.0.0", 8080) == (settings.host, settings.port)  # noqa: S104 - inside a task
    assert ("iam", region) == (settings.database_login, settings.region)
    assert callable(login.addresses(settings).writer)


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
    # The administrator's login comes from the secret, and so does its name.
    assert "user" not in conninfo_to_dict(migration[ADMIN_URL_VARIABLE])


def test_the_login_that_iam_lets_in_is_the_one_that_the_service_uses(assembly: Assembly) -> None:
    for region in REGIONS:
        policies = assembly.resources(f"service-{region}", "AWS::IAM::Policy")
        grants = [
            statement
            for policy in policies.values()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Action"] == "rds-db:connect"
        ]
        assert grants
        assert all(s["Resource"]["Fn::Join"][1][-1] == "/payment_user" for s in grants)
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

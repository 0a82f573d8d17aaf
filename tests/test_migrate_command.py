"""`evertill migrate` as a task in AWS runs it: with a secret's login, and one by IAM to create."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from tests.support.postgres import Database, Server

from evertill.cli import main
from evertill.storage import provisioning

# Roles belong to a whole server, which tests share: each run has names of its own.
USER = f"payment_user_{secrets.token_hex(4)}"
VALIDATION_USER = f"validation_user_{secrets.token_hex(4)}"
IAM_ROLE = f"rds_iam_{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """Set the variables of the migration's template, for the test's own database."""
    monkeypatch.setattr(provisioning, "IAM_ROLE", IAM_ROLE)
    for name in os.environ:
        if name.startswith(("EVERTILL_", "AWS_")):
            monkeypatch.delenv(name)
    url = make_conninfo(database.service_url, user=USER, password="")
    monkeypatch.setenv("EVERTILL_DATABASE_URL", url)
    monkeypatch.setenv("EVERTILL_DATABASE_LOGIN", "iam")
    monkeypatch.setenv("EVERTILL_ADMIN_DATABASE_URL", database.admin_url)


@pytest.fixture
def amazon(postgres: Server) -> Iterator[None]:
    """Give the server the role that RDS has; afterwards neither it nor the login is there."""
    roles = [sql.Identifier(name) for name in (USER, VALIDATION_USER, IAM_ROLE)]
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(roles[-1]))
    yield
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        for role in roles:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))


def roles_of(database: Database, user: str) -> set[str]:
    """Return the roles that the login `user` is a member of."""
    query = (
        "SELECT m.rolname FROM pg_auth_members JOIN pg_roles u ON u.oid = member "
        "JOIN pg_roles m ON m.oid = roleid WHERE u.rolname = %s AND u.rolcanlogin"
    )
    return {str(role) for (role,) in database.rows(query, [user])}


@pytest.mark.usefixtures("amazon")
def test_the_services_login_is_there_afterwards_and_may_serve(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["migrate"])
    assert "The schema is at" in capsys.readouterr().out
    assert {"evertill_service", IAM_ROLE} == roles_of(database, USER)


@pytest.mark.usefixtures("amazon")
def test_the_validation_functions_login_is_there_too_and_may_validate_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERTILL_VALIDATION_USER", VALIDATION_USER)
    assert [0, 0] == [main(["migrate"]), main(["migrate"])]
    assert {"evertill_validation", IAM_ROLE} == roles_of(database, VALIDATION_USER)
    assert {"evertill_service", IAM_ROLE} == roles_of(database, USER)


def test_a_server_that_is_none_of_amazons_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 1 == main(["migrate"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "rds_iam" in line


def test_a_secret_that_nobody_may_read_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVERTILL_ADMIN_SECRET", "payment-db-admin")
    monkeypatch.setenv("EVERTILL_REGION", "us-east-1")
    assert 1 == main(["migrate"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in line

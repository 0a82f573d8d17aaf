"""Who may use a database: logins by IAM, on a server that has Amazon's role and on one without."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from tests.support.postgres import Database, Server

from evertill.storage import provisioning
from evertill.storage.migrate import SERVICE_ROLE
from evertill.storage.provisioning import NoIamLogins, allow_login, create_iam_login

# Roles belong to a whole server, which tests share: each run has a name of its own.
IAM_ROLE = f"rds_iam_{secrets.token_hex(4)}"
MEMBER = "SELECT pg_has_role(%s, %s, 'member'), rolcanlogin, rolpassword IS NULL FROM pg_authid "


@pytest.fixture(autouse=True)
def own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call Amazon's role by this run's name."""
    monkeypatch.setattr(provisioning, "IAM_ROLE", IAM_ROLE)


@pytest.fixture
def user(postgres: Server) -> Iterator[str]:
    """Give the name of a login that is not there yet."""
    name = f"payment_{secrets.token_hex(4)}"
    yield name
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


@pytest.fixture
def amazon(postgres: Server) -> Iterator[None]:
    """Give the server the role that RDS has."""
    role = sql.Identifier(IAM_ROLE)
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    yield
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.usefixtures("amazon")
def test_a_login_by_iam_is_created_without_a_password_and_may_serve(
    database: Database, user: str
) -> None:
    for _ in range(2):
        create_iam_login(database.admin_url, user)
        allow_login(database.admin_url, user)
    with psycopg.connect(database.admin_url) as connection:
        query = MEMBER + "WHERE rolname = %s"
        for role in (IAM_ROLE, SERVICE_ROLE):
            row = connection.execute(query, [user, role, user]).fetchone()
            assert (True, True, True) == row


def test_a_server_without_the_role_of_rds_is_refused_in_one_sentence(
    database: Database, user: str
) -> None:
    with pytest.raises(NoIamLogins, match="rds_iam"):
        create_iam_login(database.admin_url, user)

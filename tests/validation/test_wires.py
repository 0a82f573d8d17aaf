"""TLS and settings: whom the function trusts, and what it cannot start with."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.support.postgres import Database
from tests.support.tls_front import Front, running_front
from tests.validation.conftest import Deploy, direct, login, payment

from evertill.domain.errors import UsageError
from evertill.validation.settings import read_settings


def behind(database: Database) -> tuple[str, int]:
    """Return host and port of the test's server."""
    where = psycopg.conninfo.conninfo_to_dict(database.admin_url)
    return str(where["host"]), int(where["port"] or 0)


def encrypted(database: Database, front: Front, authorities: Path) -> str:
    """Return the URL of a login through the front, checked against `authorities`."""
    parts = urlsplit(login(database))
    port = front.server_address[1]
    where = f"{parts.username}:{parts.password}@localhost:{port}/{database.name}"
    return f"postgresql://{where}?sslmode=verify-full&sslrootcert={authorities}"


def test_a_server_that_proves_its_name_is_trusted(
    database: Database, deploy: Deploy, tmp_path: Path
) -> None:
    with running_front(behind(database), tmp_path, "localhost") as front:
        function = deploy(
            database, EVERTILL_DATABASE_URL=encrypted(database, front, front.authorities)
        )
        answer = direct(function, payment())[1]
        assert not answer.get("read_only", True), function.output()


@pytest.mark.parametrize("fault", ["another name", "another authority"])
def test_a_server_that_does_not_gets_no_login(
    database: Database, deploy: Deploy, tmp_path: Path, fault: str
) -> None:
    name = "elsewhere.test" if fault == "another name" else "localhost"
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with (
        running_front(behind(database), tmp_path, name) as front,
        running_front(behind(database), stranger, name) as other,
    ):
        trusted = front if fault == "another name" else other
        url = encrypted(database, front, trusted.authorities)
        function = deploy(database, EVERTILL_DATABASE_URL=url)
        assert direct(function, payment())[1]["read_only"]
        assert "CERTIFICATE_VERIFY_FAILED" in function.output()


def test_a_server_without_tls_gets_no_login(database: Database, deploy: Deploy) -> None:
    url = login(database).partition("?")[0]
    function = deploy(database, EVERTILL_DATABASE_URL=url)
    assert direct(function, payment())[1]["read_only"]
    assert "Server refuses SSL" in function.output()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"EVERTILL_DATABASE_URL": ""}, "EVERTILL_DATABASE_URL"),
        ({"EVERTILL_LOG_BUCKET": ""}, "EVERTILL_LOG_BUCKET"),
        ({"EVERTILL_DATABASE_URL": "mysql://u@h/d"}, "EVERTILL_DATABASE_URL"),
        ({"EVERTILL_DATABASE_URL": "postgresql://u@h:port/d"}, "EVERTILL_DATABASE_URL"),
        (
            {"EVERTILL_DATABASE_READER_URL": "postgresql://u@h/d?sslmode=require"},
            "EVERTILL_DATABASE_READER_URL",
        ),
        (
            {
                "EVERTILL_DATABASE_LOGIN": "iam",
                "EVERTILL_DATABASE_URL": "postgresql://u@h/d?sslmode=disable",
            },
            "EVERTILL_DATABASE_URL",
        ),
        ({"EVERTILL_DATABASE_LOGIN": "trust"}, "EVERTILL_DATABASE_LOGIN"),
        ({"EVERTILL_AMOUNT_LIMITS": "USD"}, "EVERTILL_AMOUNT_LIMITS"),
        ({"EVERTILL_AMOUNT_LIMITS": "XAU=5"}, "EVERTILL_AMOUNT_LIMITS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variables: dict[str, str], named: str) -> None:
    whole = {"EVERTILL_DATABASE_URL": "postgresql://u@h/d", "EVERTILL_LOG_BUCKET": "b"} | variables
    with pytest.raises(UsageError, match=named):
        read_settings(whole)

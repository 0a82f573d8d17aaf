"""The command line: what it lists, what it says when something is wrong, and with which status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from evertill.cli import COMMANDS, evertill, main
from evertill.quickstart import Cluster
from evertill.storage import directory, provisioning
from evertill.storage.migrate import create_login, migrate
from evertill.storage.provisioning import ADMIN_URL_VARIABLE, URL_VARIABLE

SOURCE = Path(__file__).parents[1] / "src"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in os.environ:
        if name.startswith("EVERTILL_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give a database that was not migrated."""
    root = Path(tempfile.mkdtemp(prefix="evertill-test-"))
    root.chmod(0o755)
    with Cluster(root / "state" / "database", settings={"shared_buffers": "16MB"}) as cluster:
        yield cluster.dsn()
    shutil.rmtree(root)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_is_there_and_documented(name: str) -> None:
    command = evertill.get_command(click.Context(evertill), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_help_needs_no_database_driver_and_fits_80_columns() -> None:
    program = (
        "import sys; from evertill.cli import main; status = main(['--help'])\n"
        "print(sorted({'psycopg', 'msgspec', 'prometheus_client'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert max(map(len, lines)) <= 80
    assert "  up " in done.stdout


def test_a_mistake_in_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert main(["serve"]) == 2
    assert "Set EVERTILL_DATABASE_URL to postgresql://" in capsys.readouterr().err


def test_an_unreadable_connection_string_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, "my password is geheim")
    assert main(["migrate"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("evertill: EVERTILL_DATABASE_URL is not a connection string")
    assert "geheim" not in complaint


def test_a_database_that_is_not_there_is_one_sentence_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, "postgresql://someone:geheim@127.0.0.1:1/shop")
    assert main(["migrate"]) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint == (
        'evertill: PostgreSQL cannot be reached: connection to server at "127.0.0.1", port 1 '
        "failed: Connection refused. Check EVERTILL_DATABASE_URL."
    )


def test_an_interrupted_command_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evertill, "invoke", interrupted)
    assert main(["migrate"]) == 130


def test_an_old_server_is_refused_in_a_sentence(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provisioning, "SERVER_VERSION_MIN", 99)
    monkeypatch.setenv(URL_VARIABLE, server)
    assert main(["migrate"]) == 1
    assert "Evertill needs PostgreSQL 99 or later." in capsys.readouterr().err


def test_a_merchant_and_its_keys_are_made_changed_and_revoked(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(ADMIN_URL_VARIABLE, server)
    assert main(["migrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] >= 1
    assert main(["keys", "create", "shop", "--scope", "read"]) == 1
    assert "There is no merchant named 'shop'." in capsys.readouterr().err
    terms = tmp_path / "terms.json"
    terms.write_text('{"accepted_currencies": ["EUR"], "fee_basis_points": 150}')
    assert main(["merchants", "save", "shop", "--terms", str(terms)]) == 0
    assert main(["merchants", "save", "shop", "--inactive"]) == 0
    kept = provisioning.find_terms(server, "shop")
    assert kept is not None
    assert (kept.accepted_currencies, kept.fee_basis_points) == (frozenset({"EUR"}), 150)
    capsys.readouterr()
    assert main(["keys", "create", "shop", "--scope", "write", "--scope", "read", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["scopes"] == ["read", "write"]
    assert made["key"].startswith(directory.KEY_PREFIX)
    assert provisioning.knows_key(server, made["key"])
    assert main(["keys", "revoke", "shop", made["key"][-4:]]) == 0
    assert not provisioning.knows_key(server, made["key"])
    assert main(["keys", "revoke", "shop", "none"]) == 1


def test_a_login_that_may_not_be_let_in_is_told_what_to_ask_for(server: str) -> None:
    migrate(server)
    create_login(server, "weak", "geheim")
    with psycopg.connect(server) as connection:
        connection.execute("REVOKE evertill_service FROM weak")
    weak = make_conninfo(server, user="weak", password="geheim")
    with pytest.raises(provisioning.RoleNotGranted, match=r'GRANT "evertill_service" TO "weak"$'):
        provisioning.allow_login(weak, "weak")


def test_migrate_lets_the_validation_functions_login_validate_and_no_more(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(server) as connection:
        connection.execute("CREATE ROLE lambda_login LOGIN")
    monkeypatch.setenv(URL_VARIABLE, server)
    monkeypatch.setenv(provisioning.VALIDATION_USER_VARIABLE, "lambda_login")
    assert main(["migrate"]) == 0
    with psycopg.connect(server) as connection:
        roles = connection.execute(
            "SELECT pg_has_role('lambda_login', 'evertill_validation', 'MEMBER'),"
            " pg_has_role('lambda_login', 'evertill_service', 'MEMBER')"
        ).fetchone()
    assert roles == (True, False)


@pytest.mark.parametrize(
    "terms",
    [
        "nonsense",
        '{"fee_basis_point": 1}',
        '{"fee_basis_points": 20000}',
        '{"accepted_currencies": ["XXX"]}',
        '{"amount_limits_minor": {"USD": -1}}',
        '{"payments_per_s_max": 0}',
    ],
)
def test_terms_that_cannot_be_are_refused_before_the_database_is_asked(
    terms: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "terms.json"
    file.write_text(terms)
    assert main(["merchants", "save", "shop", "--terms", str(file)]) == 2
    assert "terms.json does not hold terms: " in capsys.readouterr().err

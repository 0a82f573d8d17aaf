"""From an empty database, or an older one, to the schema of this release."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql
from tests.support.postgres import ROOT, Database, Server

from evertill.storage.migrate import BASELINE_VERSION, Migration, SchemaTooNew, migrate

PROCESS_TIMEOUT_S = 60
PROGRAM = "import sys; from evertill.storage.migrate import migrate; print(migrate(sys.argv[1]))"
ADD_TABLE = Migration(2, "CREATE TABLE notes (note text)")
ADD_COLUMN = Migration(3, "ALTER TABLE notes ADD COLUMN author text")
BROKEN = Migration(3, "CREATE TABLE more (x int); SELECT 1 / 0")


@pytest.fixture
def empty(postgres: Server) -> Iterator[Database]:
    """Give a database with nothing in it."""
    name = f"empty_{secrets.token_hex(8)}"
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield postgres.database(name)
    with psycopg.connect(postgres.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def version(database: Database) -> list[tuple[int]]:
    """Return the rows that say which version the schema has."""
    return database.rows("SELECT version FROM schema_version")


def test_an_empty_database_gets_the_baseline(empty: Database) -> None:
    assert BASELINE_VERSION == migrate(empty.admin_url, [])
    assert [(BASELINE_VERSION,)] == version(empty)


def test_a_second_migration_changes_nothing(empty: Database) -> None:
    migrate(empty.admin_url, [])
    empty.rows("INSERT INTO merchants (name) VALUES ('kept')")
    assert BASELINE_VERSION == migrate(empty.admin_url, [])
    assert [("kept",)] == empty.rows("SELECT name FROM merchants")
    assert [(BASELINE_VERSION,)] == version(empty)


def test_migrations_at_once_are_one_migration_and_no_ops(empty: Database) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, empty.admin_url],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(4)
    ]
    printed = [process.communicate(timeout=PROCESS_TIMEOUT_S)[0] for process in processes]
    assert [0] * 4 == [process.returncode for process in processes]
    assert 1 == len(set(printed))
    assert [(int(printed[0]),)] == version(empty)


def test_only_the_steps_that_are_missing_are_taken(empty: Database) -> None:
    migrate(empty.admin_url, [])
    assert 2 == migrate(empty.admin_url, [ADD_TABLE])
    empty.rows("INSERT INTO notes VALUES ('kept')")
    assert 3 == migrate(empty.admin_url, [ADD_TABLE, ADD_COLUMN])
    assert [("kept", None)] == empty.rows("SELECT note, author FROM notes")
    assert [(3,)] == version(empty)


def test_an_empty_database_takes_every_step_after_the_baseline(empty: Database) -> None:
    assert 3 == migrate(empty.admin_url, [ADD_TABLE, ADD_COLUMN])
    assert [] == empty.rows("SELECT note, author FROM notes")


def test_a_new_table_can_be_read_by_the_service_and_not_written(empty: Database) -> None:
    migrate(empty.admin_url, [ADD_TABLE])
    with psycopg.connect(empty.service_url, autocommit=True) as service:
        assert [] == service.execute("SELECT * FROM evertill.notes").fetchall()
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute("INSERT INTO evertill.notes VALUES ('x')")


def test_a_step_that_fails_leaves_the_version_before_it(empty: Database) -> None:
    migrate(empty.admin_url, [])
    with pytest.raises(errors.DivisionByZero):
        migrate(empty.admin_url, [ADD_TABLE, BROKEN])
    assert [(BASELINE_VERSION,)] == version(empty)
    left = empty.rows("SELECT to_regclass('notes')::text, to_regclass('more')::text")
    assert [(None, None)] == left


def test_a_schema_of_a_newer_release_is_left_alone(empty: Database) -> None:
    migrate(empty.admin_url, [ADD_TABLE])
    with pytest.raises(SchemaTooNew):
        migrate(empty.admin_url, [])
    assert [(2,)] == version(empty)


def test_payments_go_on_while_a_migration_is_repeated(database: Database) -> None:
    with psycopg.connect(database.service_url, autocommit=True) as service:
        service.execute("SELECT * FROM evertill.lock_expired(1)")
        migrate(database.admin_url)
        assert [] == service.execute("SELECT * FROM evertill.lock_expired(1)").fetchall()

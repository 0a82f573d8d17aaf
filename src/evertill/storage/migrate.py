"""Bring a database to the schema that this release needs.

It runs before a service update, with an administrator's role, as a task of its own: never while
tasks start, so that scaling out does not depend on it. One transaction does it all, under a lock,
so that two migrations at once are one migration and a no-op.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from evertill.domain.errors import EvertillError

# Any fixed number that no other program uses as its advisory lock in this database.
MIGRATION_LOCK: Final = 0x45564552
BASELINE_VERSION: Final = 1
SERVICE_ROLE: Final = "evertill_service"
VALIDATION_ROLE: Final = "evertill_validation"

_ROOM: Final = resources.files("evertill.storage")


class SchemaTooNew(EvertillError):
    """The database's schema is newer than this release. Deploy the newer release instead."""

    code = "schema_too_new"


class Migration(NamedTuple):
    """One step: the schema's version after it and the statements that lead there."""

    version: int
    statements: str


def steps() -> list[Migration]:
    """Return the steps after the baseline, in order, from `migrations/NNNN_name.sql`."""
    folder = _ROOM / "migrations"
    files = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
    return [
        Migration(int(file.name[:4]), file.read_text())
        for file in files
        if file.name.endswith(".sql")
    ]


def migrate(conninfo: str, migrations: Iterable[Migration] | None = None) -> int:
    """Bring the database to the latest schema and return its version.

    Raise SchemaTooNew when a newer release was here; psycopg.Error when the server refuses.
    """
    pending = steps() if migrations is None else list(migrations)
    latest = max((step.version for step in pending), default=BASELINE_VERSION)
    with psycopg.connect(conninfo) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        version = _prepare(connection)
        if version > latest:
            raise SchemaTooNew
        for step in pending:
            if step.version > version:
                _run(connection, step.statements)
        connection.execute("UPDATE schema_version SET version = %s", [latest])
        _run(connection, (_ROOM / "functions.sql").read_text())
        _run(connection, (_ROOM / "grants.sql").read_text())
    return latest


def create_login(conninfo: str, user: str, password: str, role: str = SERVICE_ROLE) -> None:
    """Create the login `user`, or set its password, as a member of `role`."""
    with psycopg.connect(conninfo) as connection:
        _create_role(connection, user)
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(user), password)
        )
        connection.execute(
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(user))
        )


def _prepare(connection: psycopg.Connection) -> int:
    for role in (SERVICE_ROLE, VALIDATION_ROLE):
        _create_role(connection, role)
    connection.execute("CREATE SCHEMA IF NOT EXISTS evertill")
    connection.execute("SET LOCAL search_path = evertill")
    known = connection.execute("SELECT to_regclass('schema_version') IS NOT NULL").fetchone()
    if known == (True,):
        row = connection.execute("SELECT version FROM schema_version").fetchone()
        return int(row[0]) if row else 0
    connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
    connection.execute("INSERT INTO schema_version VALUES (%s)", [BASELINE_VERSION])
    _run(connection, (_ROOM / "schema.sql").read_text())
    return BASELINE_VERSION


def _create_role(connection: psycopg.Connection, role: str) -> None:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


def _run(connection: psycopg.Connection, statements: str) -> None:
    # Statements come from files of this package; psycopg wants to know that they are no user input.
    connection.execute(statements.encode())

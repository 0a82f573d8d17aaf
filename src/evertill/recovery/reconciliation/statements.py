"""The statements of queries.sql, by name, and connections to run them on.

Recovery has SQL of its own: it reads volumes as they are, also one of an older release, and must
not depend on the service's statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg import conninfo

CONNECT_TIMEOUT_S: Final = 10
# A digest reads a table whole, once: on a large volume that takes minutes.
STATEMENT_TIMEOUT_S: Final = 3600
LOCK_TIMEOUT_S: Final = 10

_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]


def _load() -> dict[str, bytes]:
    text = (resources.files("evertill.recovery.reconciliation") / "queries.sql").read_text()
    return {
        found[1]: _COMMENT.sub("", found[2]).strip().encode() for found in _NAMED.finditer(text)
    }


STATEMENTS: Final = _load()


def connect(url: str, *, is_read_only: bool) -> Connection:
    """Connect to a database of the platform; who only reads sees one moment of it."""
    options = (
        f"-c search_path=evertill,pg_temp -c timezone=UTC "
        f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={LOCK_TIMEOUT_S}s"
    )
    given = conninfo.make_conninfo(url, connect_timeout=CONNECT_TIMEOUT_S, options=options)
    connection = psycopg.connect(given)
    connection.read_only = is_read_only
    if is_read_only:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


def ask(
    connection: Connection, name: str, parameters: Mapping[str, Any] | None = None
) -> list[Row]:
    """Run a statement by its name and return its rows."""
    with closing(connection.execute(STATEMENTS[name], parameters)) as cursor:
        return cursor.fetchall() if cursor.description else []

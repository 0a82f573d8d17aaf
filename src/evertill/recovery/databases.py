"""The databases by SQL: the administrator's login from the region's own secret, and our statements.

It is separate because it is the only module that opens connections. Every wait has a bound on both
sides: a region may be lost in the middle of a statement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg import conninfo

from evertill.recovery.deployment import Deployment
from evertill.recovery.errors import CallRefused, DatabaseSilent, RegionSilent
from evertill.recovery.regions import Region

CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_MS: Final = 10_000
TCP_USER_TIMEOUT_MS: Final = 5_000
_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)

Role = Literal["writer", "reader"]
Connection = psycopg.Connection[tuple[Any, ...]]


def _load() -> dict[str, bytes]:
    text = (resources.files("evertill.recovery") / "queries.sql").read_text()
    return {
        found[1]: _COMMENT.sub("", found[2]).strip().encode() for found in _NAMED.finditer(text)
    }


STATEMENTS: Final = _load()


class Database:
    """One region's database."""

    def __init__(self, region: Region, deployment: Deployment, authorities: Path | None) -> None:
        """Trust the certificates of `authorities`; without them, the system's."""
        self._region: Final = region
        self._deployment: Final = deployment
        self._authorities: Final = authorities

    def impatient(self) -> Database:
        """Return the same database for questions that need no answer: AWS is asked once each."""
        return Database(self._region.impatient(), self._deployment, self._authorities)

    @contextmanager
    def connected(self, role: Role) -> Iterator[Connection]:
        """Connect to the writer's or the reader's endpoint; raise DatabaseSilent."""
        try:
            login = self._login(role)
            connection = psycopg.connect(**login, autocommit=True)
        except (psycopg.Error, CallRefused, RegionSilent, KeyError, ValueError) as failure:
            raise DatabaseSilent(self._words(failure)) from None
        try:
            yield connection
        except psycopg.Error as failure:
            raise DatabaseSilent(self._words(failure)) from None
        finally:
            connection.close()

    def ask(self, role: Role, statement: str, **parameters: str | int) -> list[tuple[Any, ...]]:
        """Return the rows of one statement on a connection of its own; raise DatabaseSilent."""
        with self.connected(role) as connection:
            return connection.execute(STATEMENTS[statement], parameters).fetchall()

    def url(self) -> str:
        """Return how the administrator connects to the writer, for who compares for longer."""
        login = {name: value for name, value in self._login("writer").items() if name != "options"}
        return conninfo.make_conninfo(**login)

    def role(self) -> Role:
        """Return the endpoint that answers: the writer's of a standby does not."""
        members = self._cluster()["DBClusterMembers"]
        return "writer" if any(item["IsClusterWriter"] for item in members) else "reader"

    def _cluster(self) -> dict[str, Any]:
        named = self._deployment.database
        answer = self._region.call("rds", "describe_db_clusters", DBClusterIdentifier=named)
        found: dict[str, Any] = answer["DBClusters"][0]
        return found

    def _login(self, role: Role) -> dict[str, Any]:
        cluster = self._cluster()
        # A replica of the secret names the first region's host, so the host is never taken from it.
        secret = json.loads(
            self._region.call(
                "secretsmanager", "get_secret_value", SecretId=self._deployment.admin_secret
            )["SecretString"]
        )
        return {
            "host": cluster["Endpoint" if role == "writer" else "ReaderEndpoint"],
            "port": cluster["Port"],
            "user": secret["username"],
            "password": secret["password"],
            "dbname": secret["dbname"],
            "sslmode": "verify-full",
            "sslrootcert": str(self._authorities) if self._authorities else "system",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            "application_name": "evertill recovery",
        }

    def _words(self, failure: Exception) -> str:
        lines = [line for line in str(failure).splitlines() if line.strip()] or ["no reason given"]
        return f"The database of {self._region.name} cannot be used: {lines[-1].strip()}"

"""The function's two connections: kept across invokes, dropped when a failover shows.

It is separate because only here is it known what a lost connection looks like. A kept connection
may have died while Lambda had the environment frozen, or may lead to what used to be the writer. So
an error on a kept connection is tried once more on a new one, which asks DNS anew; every statement
here may be repeated.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from time import monotonic
from typing import Any, Final

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection

from evertill.domain.errors import Unavailable
from evertill.domain.signing import Signer
from evertill.validation.settings import Address, Settings, read_credentials

ROLE: Final = "evertill_validation"
CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 4.0
STATEMENT_TIMEOUT_MS: Final = 3_000
# How long a writer that cannot be reached is left alone: without this, every decision of a standby,
# whose writer endpoint does not answer, would wait for CONNECT_TIMEOUT_S.
RETRY_AFTER_S: Final = 5.0

READ_ONLY: Final = "25006"
# Classes and codes after which a new connection may do better: connection exceptions, an operator's
# intervention (a shutdown, a start), a question that a reader cancels because it stands in the way
# of what is replayed (https://www.postgresql.org/docs/current/hot-standby.html), and a server that
# has become a standby.
LOST: Final = ("08", "57P0", "40001", READ_ONLY)

_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?);$", re.MULTILINE | re.DOTALL)

STATEMENTS: Final = dict(
    _NAMED.findall((resources.files("evertill.validation") / "queries.sql").read_text())
)

STARTUP: Final = {
    "role": ROLE,
    "search_path": "evertill",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "timezone": "UTC",
}

Row = list[Any]


class ReadOnly(Unavailable):
    """This region's database takes no writes at the moment."""

    code = "read_only"


class Link:
    """One connection, made when it is first needed and again when it was lost."""

    def __init__(self, address: Address, password: Callable[[], str | None]) -> None:
        """Connect to `address` with what `password` returns at that time."""
        self._address = address
        self._password = password
        self._connection: Connection | None = None
        self._refused_until_s = 0.0

    def run(self, statement: str, **parameters: object) -> list[Row]:
        """Run a statement of queries.sql, twice if need be, and return its rows.

        Raise ReadOnly or Unavailable; other errors of the database are ours and pass.
        """
        if self._connection is not None:
            try:
                return self._run(self._connection, statement, parameters)
            except Unavailable:
                pass
        if monotonic() < self._refused_until_s:
            raise Unavailable
        try:
            self._connection = self._connect()
            return self._run(self._connection, statement, parameters)
        except Unavailable:
            self._refused_until_s = monotonic() + RETRY_AFTER_S
            raise

    def drop(self) -> None:
        """Close the connection; the next statement makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _run(self, connection: Connection, statement: str, parameters: dict[str, Any]) -> list[Row]:
        try:
            rows: list[Row] | None = connection.run(STATEMENTS[statement], **parameters)
        except DatabaseError as failure:
            state = sql_state(failure)
            if not state.startswith(LOST):
                raise
            self.drop()
            raise (ReadOnly if state == READ_ONLY else Unavailable) from failure
        except (InterfaceError, OSError) as failure:
            self.drop()
            raise Unavailable from failure
        return rows or []

    def _connect(self) -> Connection:
        address = self._address
        with contextlib.ExitStack() as stack:
            try:
                sock = stack.enter_context(_socket(address))
                connection = Connection(
                    address.user,
                    host=address.host,
                    database=address.database,
                    password=self._password(),
                    sock=sock,
                    ssl_context=_tls(address),
                    application_name="evertill-validation",
                    startup_params=STARTUP,
                )
            except (DatabaseError, InterfaceError, OSError) as failure:
                raise Unavailable from failure
            # It is the connection's to close from here on.
            stack.pop_all()
            return connection


class Databases:
    """The region's database as two links: `reader` for questions, `writer` for decisions."""

    def __init__(self, settings: Settings) -> None:
        """Connect as `settings` say, at the first statement."""
        self.reader = _link(settings.reader(), settings)
        self.writer = _link(settings.writer(), settings)

    def ask(self, statement: str, **parameters: object) -> list[Row]:
        """Run a question on the reader, or on the writer while there is no reader to be reached."""
        try:
            return self.reader.run(statement, **parameters)
        except Unavailable:
            return self.writer.run(statement, **parameters)


def sql_state(failure: DatabaseError) -> str:
    """Return the five characters of an error's SQLSTATE, none when it has none."""
    told = failure.args[0] if failure.args else None
    return str(told.get("C", "")) if isinstance(told, dict) else ""


def _link(address: Address, settings: Settings) -> Link:
    if settings.database_login == "password":
        return Link(address, lambda: address.password)

    def token() -> str:
        signer = Signer(read_credentials(), settings.region, "rds-db", datetime.now(UTC))
        return signer.login_token(f"{address.host}:{address.port}", address.user)

    return Link(address, token)


def _socket(address: Address) -> socket.socket:
    sock = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
    sock.settimeout(ANSWER_TIMEOUT_S)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # pg8000 writes a statement in pieces; waiting for acknowledgements costs 40 ms each.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _tls(address: Address) -> ssl.SSLContext | bool:
    """Return what checks chain and host name, which is what libpq calls verify-full."""
    if not address.is_encrypted:
        return False
    return ssl.create_default_context(cafile=address.authorities)

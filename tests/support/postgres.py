"""One PostgreSQL cluster for a whole test run, and fresh databases in it, made in milliseconds.

The cluster belongs to a process of its own (`python -m tests.support.postgres`) that lives exactly
as long as its standard input stays open. However the test run ends, killed ones included, that pipe
closes, and the process stops the server and deletes its directory: nothing is ever left behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from evertill.quickstart import Cluster
from evertill.storage import migrate

ROOT = Path(__file__).parents[2]
TEMPLATE = "evertill_template"
LOGIN = "evertill_login"
# The machine does not lose its power while tests run, and an fsync for every database that is made
# and dropped would take longer than most tests. A killed server loses nothing by this.
SETTINGS = {"shared_buffers": "64MB", "max_connections": "200", "fsync": "off"}


class Server(NamedTuple):
    """Where the cluster is: conninfos of its superuser and of the service's login."""

    admin: str
    login: str

    def database(self, name: str) -> Database:
        """Return where a database of this cluster is."""
        return Database(
            name,
            psycopg.conninfo.make_conninfo(self.admin, dbname=name),
            psycopg.conninfo.make_conninfo(self.login, dbname=name),
        )

    @contextmanager
    def fresh_database(self) -> Iterator[Database]:
        """Make a migrated database from the template, and drop it afterwards."""
        name = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE)
                )
            )
        try:
            yield self.database(name)
        finally:
            with psycopg.connect(self.admin, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )


class Database(NamedTuple):
    """A database: `admin_url` may do everything, `service_url` what the service may."""

    name: str
    admin_url: str
    service_url: str

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, commit, and return its rows."""
        with psycopg.connect(
            self.admin_url, autocommit=True, options="-c search_path=evertill"
        ) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server() -> Iterator[Server]:
    """Start the cluster's process and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.postgres"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        # Ctrl-C is for the tests; the cluster ends when they have ended.
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        yield msgspec.json.decode(process.stdout.readline(), type=Server)
        # Leaving the block closes the pipe and waits.


def main() -> None:
    """Run a cluster with the template in it until standard input ends."""
    root = Path(tempfile.mkdtemp(prefix="evertill-tests-"))
    # The server's user, who is not root, has to get through.
    root.chmod(0o755)
    try:
        with Cluster(root / "database", settings=SETTINGS) as cluster:
            server = _prepare(cluster)
            sys.stdout.write(msgspec.json.encode(server).decode() + "\n")
            sys.stdout.flush()
            sys.stdin.read()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _prepare(cluster: Cluster) -> Server:
    """Make the template and the login."""
    password = secrets.token_hex(16)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    template = cluster.dsn(dbname=TEMPLATE)
    migrate.migrate(template)
    migrate.create_login(template, LOGIN, password)
    return Server(cluster.dsn(), cluster.dsn(LOGIN, password=password))


if __name__ == "__main__":
    main()

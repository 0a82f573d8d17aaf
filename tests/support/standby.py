"""Two real PostgreSQL servers: a primary and a standby that streams from it.

It is separate from `postgres`, whose one server all tests share, because these two are stopped and
started as the test wants. `writer` and `reader` are what a region's two endpoints are: the writer's
may be closed, as that of a secondary cluster is.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from tests.support.postgres import Database
from tests.support.service import wait_until

from evertill.quickstart import Cluster
from evertill.quickstart.account import choose_account
from evertill.storage import migrate

SETTINGS = {"shared_buffers": "16MB", "max_connections": "60", "fsync": "off"}
LOGIN = "evertill_login"
DATABASE = "postgres"
CATCH_UP_TIMEOUT_S = 20.0
BACKUP_TIMEOUT_S = 60.0


class Pair(NamedTuple):
    """A primary and its standby, with where the service finds each."""

    primary: Cluster
    standby: Cluster
    password: str

    @property
    def writer(self) -> Database:
        """The primary as the service and an administrator log in to it."""
        return _database(self.primary, self.password)

    @property
    def reader(self) -> Database:
        """The same of the standby."""
        return _database(self.standby, self.password)

    def catch_up(self) -> None:
        """Wait until the standby has replayed all that the primary has written."""
        (position,) = self.writer.rows("SELECT pg_current_wal_insert_lsn()")
        question = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(lambda: self.reader.rows(question, position) == [(True,)], CATCH_UP_TIMEOUT_S)


@contextmanager
def running_pair() -> Iterator[Pair]:
    """Start a migrated primary and its standby; both are stopped and deleted afterwards."""
    password = secrets.token_hex(16)
    with (
        tempfile.TemporaryDirectory(prefix="evertill-pair-") as name,
        Cluster(_open(Path(name)) / "primary", settings=SETTINGS) as primary,
    ):
        migrate.migrate(primary.dsn())
        migrate.create_login(primary.dsn(), LOGIN, password)
        data = Path(name) / "standby"
        _copy(primary, data)
        with Cluster(data, settings=SETTINGS) as standby:
            yield Pair(primary, standby, password)


def _open(folder: Path) -> Path:
    """Let the servers' user, who is not root, get through; pytest's own folders would not."""
    folder.chmod(0o755)
    return folder


def _copy(primary: Cluster, data: Path) -> None:
    """Make a standby of `primary` in `data`, where a cluster finds it."""
    account = choose_account(data)
    data.mkdir(mode=0o700)
    account.own(data)
    backup = [
        *(str(primary.program("pg_basebackup")), "--dbname", primary.dsn(), "--pgdata", str(data)),
        *("--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf"),
    ]
    subprocess.run(backup, check=True, cwd="/", timeout=BACKUP_TIMEOUT_S, **account.identity())
    beside = primary.data_directory.with_name(f"{primary.data_directory.name}.password")
    shutil.copyfile(beside, data.with_name(f"{data.name}.password"))


def _database(cluster: Cluster, password: str) -> Database:
    service = cluster.dsn(LOGIN, DATABASE, password)
    assert urlsplit(service).port == cluster.port
    return Database(DATABASE, cluster.dsn(dbname=DATABASE), service)


def nowhere() -> str:
    """Return the address of a server that is not there, as a secondary's writer endpoint is not."""
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=9, user=LOGIN, password=LOGIN, dbname=DATABASE
    )

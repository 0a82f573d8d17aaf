"""What faults are done to: a supervised service, and a PostgreSQL of its own that may be killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql
from tests.support.postgres import LOGIN, Database
from tests.support.service import BACKLOG, START_TIMEOUT_S, wait_until

from evertill.quickstart import Cluster
from evertill.service.settings import Settings
from evertill.service.supervisor import Supervisor
from evertill.storage import migrate

# Below the ports that the system gives to outgoing connections, so that it stays free while down.
PORTS = range(20_000, 30_000)
SMALL = {"shared_buffers": "32MB", "max_connections": "60"}
NAME = "evertill_faults"
TEND_INTERVAL_S = 0.05
CONNECTED = """
    SELECT count(DISTINCT client_port) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'evertill'
"""


class Supervised:
    """A service whose workers are started again by the real supervisor."""

    def __init__(self, database: Database, folder: Path, workers: int, **given: Any) -> None:
        """Prepare to serve payments of `database`; the log goes to `folder`."""
        self.log = folder / "service.log"
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        host, port = listener.getsockname()
        self.url = f"http://{host}:{port}"
        settings = Settings(database_url=database.service_url, port=port, workers=workers, **given)
        self._output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._supervisor = Supervisor(settings, listener, self._output)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tend)

    @property
    def pids(self) -> list[int]:
        """The workers that run."""
        return self._supervisor.pids

    @contextmanager
    def running(self, until: str = "/ready") -> Iterator[None]:
        """Run meanwhile, beginning with when `until` answers 200."""
        with self._supervisor:
            self._thread.start()
            try:
                wait_until(lambda: self.answers(until), START_TIMEOUT_S)
                yield
            finally:
                self._stopping.set()
                self._thread.join()
        os.close(self._output)

    def answers(self, path: str) -> bool:
        """Tell whether `path` answers 200."""
        try:
            return httpx.get(self.url + path, timeout=START_TIMEOUT_S).status_code == 200
        except httpx.TransportError:
            return False

    def kill_one(self, place: int = 0) -> None:
        """Kill the worker in a place and wait until another has taken it."""
        victim = self.pids[place]
        os.kill(victim, signal.SIGKILL)
        count = len(self.pids)
        wait_until(lambda: victim not in self.pids and len(self.pids) == count, START_TIMEOUT_S)

    def _tend(self) -> None:
        while not self._stopping.is_set():
            self._supervisor.tend()
            self._stopping.wait(TEND_INTERVAL_S)


def wait_for_workers(database: Database, count: int) -> None:
    """Wait until so many workers have started: one that has connected also heeds SIGTERM."""
    wait_until(lambda: database.rows(CONNECTED)[0][0] >= count, START_TIMEOUT_S)


@contextmanager
def own_cluster(**changes: str) -> Iterator[tuple[Cluster, Database]]:
    """Run a cluster of the test's own, with a migrated database in it and `changes` of settings."""
    root = Path(tempfile.mkdtemp(prefix="evertill-faults-"))
    # The server's user, who is not root, has to get through.
    root.chmod(0o755)
    try:
        with Cluster(root / "database", port=_free_port(), settings=SMALL | changes) as cluster:
            with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
            admin = cluster.dsn(dbname=NAME)
            migrate.migrate(admin)
            password = secrets.token_hex(8)
            migrate.create_login(admin, LOGIN, password)
            yield cluster, Database(NAME, admin, cluster.dsn(LOGIN, NAME, password))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _free_port() -> int:
    """Return a port that a server can have again after each of its deaths."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port

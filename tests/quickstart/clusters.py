"""What the tests of the embedded cluster share: small settings, statements, other processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from evertill.quickstart import Cluster, postmaster
from evertill.quickstart.account import choose_account

SMALL = {"shared_buffers": "16MB", "max_connections": "20"}
WAIT_TIMEOUT_S = 30.0


def copy_state(source: Path, target: Path) -> None:
    """Copy a stopped cluster with its owners, as `cp -a` does."""
    subprocess.run(["/bin/cp", "-a", str(source), str(target)], check=True)


def execute(cluster: Cluster, statement: str) -> None:
    """Run one statement and commit it."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(statement.encode())


def answer(cluster: Cluster, *, over_socket: bool = False) -> int:
    """Return the kept row."""
    with psycopg.connect(cluster.dsn(over_socket=over_socket)) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def wait_until_gone(pid: int) -> None:
    """Wait for a process that is not our child."""
    assert postmaster.wait_until(lambda: not postmaster.is_alive(pid), WAIT_TIMEOUT_S)


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    """Hold a port of the loopback interface."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        yield taken.getsockname()[1]


def start_in_another_process(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a cluster in a process of its own, which then sleeps; return it and the server."""
    program = (
        "import sys, time; from pathlib import Path; from evertill.quickstart import Cluster\n"
        f"cluster = Cluster(Path(sys.argv[1]), settings={SMALL!r})\n"
        "cluster.start(); print(cluster.pid, flush=True); time.sleep(600)\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def write_stale_pid_file(data: Path, pid: int) -> None:
    """Write what a server leaves behind when the machine loses its power."""
    path = data / "postmaster.pid"
    path.write_text(f"{pid}\n{data}\n1700000000\n55432\n{data.parent}/run\n127.0.0.1\n   0 0\n")
    choose_account(data).own(path)

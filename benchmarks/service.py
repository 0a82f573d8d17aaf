"""The service under load: the workers that `make up` runs, on a port of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks import bounds
from evertill.service.metrics import FOLDER_VARIABLE
from evertill.service.settings import Settings

BACKLOG: Final = 1_024
POLL_INTERVAL_S: Final = 0.05


class ServiceFailed(Exception):
    """The service did not start, or ended while it was needed."""


class Service(NamedTuple):
    """A running service."""

    port: int
    workers: list[int]


@contextmanager
def running(database_url: str) -> Iterator[Service]:
    """Run the service on a database, with its log in a file and its metrics on."""
    with TemporaryDirectory(prefix="evertill-bench-") as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        port = int(listener.getsockname()[1])
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for worker in range(bounds.WORKERS):
                processes.append(_start(database_url, listener, worker, Path(folder)))
            _wait_until_ready(port, processes)
            yield Service(port, [process.pid for process in processes])
            if any(process.poll() is not None for process in processes):
                raise ServiceFailed("A worker of the service ended under load.")
        finally:
            _stop(processes)


def _start(
    database_url: str, listener: socket.socket, worker: int, folder: Path
) -> subprocess.Popen[bytes]:
    descriptor = listener.fileno()
    settings = Settings(database_url=database_url, workers=bounds.WORKERS)
    with (folder / f"worker-{worker}.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "evertill.service.worker"),
                *("--descriptor", str(descriptor), "--worker", str(worker)),
            ],
            pass_fds=[descriptor],
            env=os.environ | settings.environment() | {FOLDER_VARIABLE: str(folder)},
            stderr=log,
        )


def _wait_until_ready(port: int, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline_s = time.monotonic() + bounds.START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if any(process.poll() is not None for process in processes):
            raise ServiceFailed("A worker of the service did not start.")
        with suppress(OSError):
            connection = HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:  # noqa: PLR2004 - OK
                return
        time.sleep(POLL_INTERVAL_S)
    raise ServiceFailed("The service was not ready in time.")


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(bounds.STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

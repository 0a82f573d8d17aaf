"""The service under load: the supervisor and the workers that `make up` runs, on a free port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, NamedTuple

from benchmarks import bounds
from evertill.service.listening import listen
from evertill.service.settings import Settings
from evertill.service.supervisor import Supervisor

HOST: Final = "127.0.0.1"
POLL_INTERVAL_S: Final = 0.05
PROBE_TIMEOUT_S: Final = 2.0


class ServiceFailed(Exception):
    """The service did not start, or ended while it was needed."""


class Service(NamedTuple):
    """A running service."""

    port: int
    workers: list[int]


@contextmanager
def running(database_url: str, **given: str | bool) -> Iterator[Service]:
    """Run the service on a database, with its access log in a file and its metrics on.

    `given` are further settings.
    """
    with TemporaryDirectory(prefix="evertill-bench-") as folder, _log(folder) as log:
        listener = listen(HOST, 0)
        port = int(listener.getsockname()[1])
        settings = Settings(
            database_url=database_url, host=HOST, port=port, workers=bounds.WORKERS, **given
        )
        with Supervisor(settings, listener, output=log.fileno()) as supervisor:
            _wait_until_ready(port, supervisor)
            started = supervisor.pids
            yield Service(port, started)
            supervisor.tend()
            if supervisor.pids != started:
                raise ServiceFailed("A worker of the service ended under load.")


def _log(folder: str) -> BinaryIO:
    return (Path(folder) / "service.log").open("wb")


def _wait_until_ready(port: int, supervisor: Supervisor) -> None:
    deadline_s = time.monotonic() + bounds.START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        supervisor.tend()
        if supervisor.early_ends:
            raise ServiceFailed("A worker of the service did not start.")
        if _is_ready(port):
            return
        time.sleep(POLL_INTERVAL_S)
    raise ServiceFailed("The service was not ready in time.")


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
    with suppress(OSError, HTTPException):
        connection.request("GET", "/ready")
        return connection.getresponse().status == HTTPStatus.OK
    return False

"""The parent of the workers, as real processes; none of these tests needs a database."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evertill.quickstart.postmaster import is_alive, wait_until
from evertill.service import app, listening, supervisor
from evertill.service.listening import AddressUnusable, PortUsed, listen
from evertill.service.settings import Settings
from evertill.service.supervisor import Supervisor

WAIT_TIMEOUT_S = 30.0
SOURCE = Path(__file__).parents[2] / "src"
# Nothing listens there: the service must start and answer without its database.
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


class Service:
    """A running `evertill serve` and what the tests ask of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def workers(self) -> set[int]:
        return {line["pid"] for line in self.told() if is_alive(line["pid"])}

    def told(self) -> list[dict[str, Any]]:
        """Return what the parent logged; its lines come whole, for each is one write."""
        lines = self.log.read_text().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in entries if entry.get("logger") == supervisor.LOGGER]

    def is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, workers: int) -> Iterator[Service]:
    log = folder / "log"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "TMPDIR": str(folder),
        "EVERTILL_DATABASE_URL": NOWHERE,
    }
    command = [sys.executable, "-m", "evertill.cli", "serve"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--workers", str(workers)],
            stderr=output,
            env=environment,
        )
    service = Service(process, port, log)
    try:
        assert wait_until(service.is_healthy, WAIT_TIMEOUT_S), log.read_text()
        assert wait_until(lambda: len(service.workers()) == workers, WAIT_TIMEOUT_S)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_killed_worker_is_replaced_and_told_about_in_one_line(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as service:
        before = service.workers()
        victim = min(before)
        os.kill(victim, signal.SIGKILL)

        def is_replaced() -> bool:
            now = service.workers()
            return len(now) == 2 and victim not in now

        assert wait_until(is_replaced, WAIT_TIMEOUT_S)
        assert service.is_healthy()
        ends = [line for line in service.told() if line["message"] != supervisor.STARTED]
        assert [(line["message"], line["pid"]) for line in ends] == [
            ("a worker ended: signal 9", victim)
        ]


def test_a_request_in_flight_is_finished_after_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as service:
        workers = service.workers()
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            head = "POST /v1/payments HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
            # The answer to the first request tells that the half of the second has arrived too.
            client.sendall(f"GET /health HTTP/1.1\r\nHost: here\r\n\r\n{head}{{".encode())
            assert b" 200 " in client.recv(65536)
            service.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: not _accepts(service.port), WAIT_TIMEOUT_S)
            client.sendall(b"}")
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in answer
        assert service.process.wait(WAIT_TIMEOUT_S) == 0
        assert not any(is_alive(pid) for pid in workers)
        assert list(tmp_path.glob("evertill-metrics-*")) == []


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as service:
        workers = service.workers()
        service.process.kill()
        service.process.wait()
        assert wait_until(lambda: not any(is_alive(pid) for pid in workers), WAIT_TIMEOUT_S)


def test_workers_that_die_at_once_are_started_again_ever_more_slowly(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as log,
        listen("127.0.0.1", 0) as listener,
        Supervisor(Settings(database_url="nonsense"), listener, log.fileno()) as workers,
    ):
        assert wait_until(lambda: workers.tend() >= 0 and workers.early_ends >= 1, WAIT_TIMEOUT_S)
        assert workers.tend() <= supervisor.TEND_INTERVAL_S
    place = supervisor._Place(0)
    waits_s = []
    for _ in range(12):
        place.vacate(now_s=0.0)
        waits_s.append(place.due_s)
    assert waits_s == sorted(waits_s)
    assert (waits_s[0], waits_s[-1]) == (supervisor.BACKOFF_MIN_S, supervisor.BACKOFF_MAX_S)
    place.vacate(now_s=supervisor.STEADY_AFTER_S + 1)
    assert place.due_s == supervisor.STEADY_AFTER_S + 1


def test_a_used_port_is_named_together_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LEFTOVER_TIMEOUT_S", 0.0)
    with listen("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortUsed, match=rf"^Port {port} is used by .* with --port N ") as caught:
            listen("127.0.0.1", port)
    if Path("/proc/net/tcp").exists():
        assert f"(process {os.getpid()})" in str(caught.value)


def test_an_address_of_another_machine_is_refused_in_a_sentence() -> None:
    with pytest.raises(AddressUnusable, match=r"^Cannot listen on 192\.0\.2\.1, port 0: [^(]+\. "):
        listen("192.0.2.1", 0)


def test_a_worker_gets_the_time_that_it_may_take_to_drain() -> None:
    # The app drains connections and then the commits in hand, each within its own bound.
    assert supervisor.DRAIN_TIMEOUT_S > 2 * app.DRAIN_TIMEOUT_S


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True

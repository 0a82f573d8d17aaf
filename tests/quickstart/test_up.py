"""`evertill up` as a newcomer meets it: real processes, the printed line pasted into a shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg
import pytest
from tests.quickstart.clusters import SMALL, execute, listener

from evertill.quickstart import Cluster, state
from evertill.quickstart.postmaster import is_alive, read_pid_file, wait_until
from evertill.quickstart.state import State

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 45.0
SOURCE = Path(__file__).parents[2] / "src"
NOTHING: Mapping[str, str] = MappingProxyType({})


class Run:
    """A running `evertill up` in a directory of its own."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], output: Path) -> None:
        self.folder = folder
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        return self._output.read_text()

    @property
    def url(self) -> str:
        return self._found(r"Evertill takes payments at (\S+)")

    @property
    def key(self) -> str:
        return self._found(r"API key +(\S+)")

    def paste(self) -> dict[str, str]:
        """Run the printed command as the shell would that it is pasted into."""
        line = self._found(r"(?ms)^(curl (?:[^\n]*\\\n)*[^\n]*)")
        done = subprocess.run(["/bin/bash", "-c", line], check=True, capture_output=True, text=True)
        payment: dict[str, str] = json.loads(done.stdout)
        return payment

    def get(self, path: str) -> dict[str, str]:
        request = urllib.request.Request(  # noqa: S310 - our own address.
            f"{self.url}{path}", headers={"Authorization": f"Bearer {self.key}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same.
            found: dict[str, str] = json.load(answer)
            return found

    def interrupt(self) -> int:
        """Press Ctrl-C, which reaches every process of the terminal."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[1]


def command(folder: Path, environment: Mapping[str, str], output: Path, *words: str) -> Run:
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERTILL_")}
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "evertill.cli", "up", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={**kept, "PYTHONPATH": str(SOURCE), **environment},
            start_new_session=True,
        )
    return Run(folder, process, output)


@contextmanager
def running(folder: Path, environment: Mapping[str, str] = NOTHING) -> Iterator[Run]:
    run = command(folder, environment, folder.with_name("output"), "--port", "0")
    try:
        wait_until(lambda: "Ctrl-C" in run.text or run.process.poll() is not None, START_TIMEOUT_S)
        assert "Ctrl-C" in run.text, run.text
        yield run
    finally:
        if run.process.poll() is None:
            run.interrupt()


def refused(folder: Path, environment: Mapping[str, str] = NOTHING, *words: str) -> str:
    """Start in vain; return the only line of complaint."""
    run = command(folder, environment, folder.with_name("refused"), *words)
    assert run.process.wait(START_TIMEOUT_S) == 1, run.text
    assert "Traceback" not in run.text
    (line,) = [line for line in run.text.splitlines() if line.startswith("evertill: ")]
    return line


def test_a_second_start_finds_the_payment_and_the_key_again(home: Path) -> None:
    with running(home) as first:
        payment = first.paste()
        assert payment["id"].startswith("pay_")
        assert payment["status"] == "captured"
        assert first.paste() == payment
        assert all(len(line) <= 80 for line in first.text.splitlines() if str(home) not in line)
        key, server = first.key, server_of(home)
        demo = home / ".evertill" / "demo.json"
        assert json.loads(demo.read_text()) == {"url": first.url, "key": key}
        assert demo.stat().st_mode & 0o777 == 0o600
        assert first.interrupt() == 0
    assert "the data stays in .evertill/database" in first.text
    assert not is_alive(server)
    with running(home) as second:
        assert second.key == key
        assert second.get(f"/v1/payments/{payment['id']}") == payment
        again = second.paste()
        assert again["status"] == "captured"
        assert again["id"] != payment["id"]
        assert "Another Evertill" in refused(home, NOTHING, "--port", "0")
        os.kill(server_of(home), signal.SIGKILL)
        assert wait_until(lambda: "PostgreSQL runs again" in second.text, START_TIMEOUT_S)
        assert wait_until(lambda: is_ready(second), START_TIMEOUT_S)
        assert second.paste() == again
        assert second.interrupt() == 0
    assert "Traceback" not in second.text


def test_a_used_port_is_one_sentence_and_starts_nothing(home: Path) -> None:
    with listener() as port:
        assert f"Port {port} is used by " in refused(home, NOTHING, "--port", str(port))
    assert not (home / ".evertill").exists()


def test_another_postgresql_serves_by_a_login_that_is_no_superuser(home: Path) -> None:
    with Cluster(home.with_name("elsewhere") / "database", settings=SMALL) as cluster:
        execute(cluster, "CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'geheim'")
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop OWNER keeper")
        url = cluster.dsn(user="keeper", dbname="shop", password="geheim")
        with running(home, {"EVERTILL_DATABASE_URL": url}) as run:
            assert run.paste()["status"] == "captured"
            assert "geheim" not in run.text
            assert run.interrupt() == 0
        assert cluster.is_running()
        assert not (home / ".evertill" / "database").exists()
        message = refused(home, {"EVERTILL_DATABASE_URL": url.replace("geheim", "falsch")})
    assert "password authentication failed" in message
    assert "falsch" not in message


def test_a_service_that_cannot_start_is_told_with_the_last_line_of_its_log(home: Path) -> None:
    (home / "broken").mkdir(parents=True)
    (home / "broken" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'evertill.service.worker' in sys.orig_argv: os.write(2, b'no luck\\n'); os._exit(1)\n"
    )
    path = f"{home / 'broken'}:{SOURCE}"
    message = refused(home, {"PYTHONPATH": path}, "--port", "0")
    assert message.endswith(".evertill/service.log, ends with: no luck")
    found = read_pid_file(home / ".evertill" / "database")
    assert found is None


def test_a_log_that_has_grown_large_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOG_SIZE_MAX_BYTES", 10)
    kept = State(tmp_path / "state")
    descriptor = kept.open_log()
    for text in (b"a first long line\n", b"short\n"):
        os.write(descriptor, text)
        kept.bound_log()
    os.close(descriptor)
    assert kept.log.read_text() == "short\n"
    assert kept.log.with_name("service.log.1").read_text() == "a first long line\n"


def server_of(home: Path) -> int:
    found = read_pid_file(home / ".evertill" / "database")
    assert found is not None
    return found.pid


def is_ready(run: Run) -> bool:
    try:
        return bool(run.get("/ready"))
    except OSError:
        return False

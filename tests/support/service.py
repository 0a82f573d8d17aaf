"""The real service under test: worker processes on a socket of their own, and who may call them.

Worker processes are started here as the supervisor starts them, but without it, so that a fault of
the supervisor cannot hide one of a worker.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tests.support.postgres import ROOT, Database

from evertill.domain.rules import MerchantTerms
from evertill.service.metrics import FOLDER_VARIABLE
from evertill.service.settings import Settings
from evertill.storage import directory

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
EVENTS_TIMEOUT_S = 20.0
POLL_INTERVAL_S = 0.01
BACKLOG = 512
LOG_TAIL_LINES = 60

Json = dict[str, Any]


class Merchant(NamedTuple):
    """A merchant with a key for everything; `name` is what its further keys are made for."""

    merchant_id: int
    name: str
    key: str


def create_merchant(
    database: Database,
    terms: MerchantTerms | None = None,
    scopes: Sequence[str] = directory.SCOPES,
    *,
    active: bool = True,
) -> Merchant:
    """Create a merchant that no other test knows, and a key."""
    name = f"merchant-{secrets.token_hex(8)}"
    terms = terms or MerchantTerms()
    merchant_id = directory.save_merchant(database.admin_url, name, terms, active=active)
    return Merchant(merchant_id, name, directory.create_key(database.admin_url, name, scopes))


class Service:
    """N worker processes on one listening socket, logging to one file."""

    def __init__(self, database: Database, folder: Path, workers: int = 1, **settings: Any) -> None:
        """Prepare to serve payments of `database`; logs and metrics go to `folder`."""
        self.database = database
        self.log = folder / "service.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._figures = folder / "metrics"
        self._figures.mkdir()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.host, self.port = self._listener.getsockname()
        self.url = f"http://{self.host}:{self.port}"
        self._settings = Settings(
            database_url=database.service_url, port=self.port, workers=workers, **settings
        )

    def start(self, *, until: str = "/ready") -> None:
        """Start the workers and wait until `until` answers 200, and all of them are ready."""
        for _ in range(self._settings.workers):
            self.start_worker()
        wait_until(lambda: self._answers(until), START_TIMEOUT_S)
        if until == "/ready":
            wait_until(self._all_are_ready, START_TIMEOUT_S)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one worker; it takes over the listening socket."""
        descriptor = self._listener.fileno()
        command = [sys.executable, "-m", "evertill.service.worker"]
        command += ["--descriptor", str(descriptor)]
        environment = {"PYTHONPATH": str(ROOT / "src"), FOLDER_VARIABLE: str(self._figures)}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **self._settings.environment(), **environment},
            )
        self.processes.append(process)
        return process

    def stop(self) -> list[int]:
        """Drain all workers and return their exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(STOP_TIMEOUT_S) for process in self.processes]
        self._listener.close()
        return codes

    def kill(self) -> None:
        """End whatever still runs, without asking."""
        for process in self.processes:
            process.kill()
            process.wait()
        self._listener.close()

    def entries(self) -> list[Json]:
        """Return all log entries; each line has to be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def faults(self) -> list[Json]:
        """Return the log entries of level error."""
        return [entry for entry in self.entries() if entry["level"] == "error"]

    def log_tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text().splitlines()[-LOG_TAIL_LINES:])

    def _all_are_ready(self) -> bool:
        # Any worker may answer, but each has a file for this gauge, which shows the least of them.
        files = [self._figures / f"gauge_livemin_{process.pid}.db" for process in self.processes]
        figures = httpx.get(f"{self.url}/metrics", timeout=START_TIMEOUT_S).text
        return all(file.exists() for file in files) and "\nevertill_ready 1.0\n" in figures

    def _answers(self, path: str) -> bool:
        for process in self.processes:
            assert process.poll() is None, f"a worker ended:\n{self.log_tail()}"
        try:
            return httpx.get(self.url + path, timeout=START_TIMEOUT_S).status_code == 200
        except httpx.TransportError:
            return False


# What is running now, so that a failed test can show the logs.
RUNNING: list[Service] = []


@contextmanager
def running_service(
    database: Database,
    folder: Path,
    workers: int = 1,
    *,
    until: str = "/ready",
    **settings: Any,
) -> Iterator[Service]:
    """Run the service; afterwards it must drain, exit with 0 and have logged no error."""
    service = Service(database, folder, workers, **settings)
    RUNNING.append(service)
    try:
        service.start(until=until)
        yield service
        assert [0] * len(service.processes) == service.stop()
        assert [] == service.faults()
    finally:
        service.kill()
        RUNNING.remove(service)


class Api:
    """One client of a service with a merchant's key; paths are those of the API."""

    def __init__(self, service: Service, merchant: Merchant) -> None:
        """Speak to `service` as `merchant`."""
        self.service = service
        self.merchant = merchant
        self._siblings: list[Api] = []
        self.http = httpx.Client(
            base_url=service.url,
            headers={"authorization": f"Bearer {merchant.key}"},
            timeout=START_TIMEOUT_S,
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.http.get(path, **options)

    def post(
        self, path: str, body: object = None, key: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send a POST with a JSON body; `key` is the idempotency key, "" sends none."""
        headers = dict(options.pop("headers", {}))
        if key != "":
            headers.setdefault("idempotency-key", key or new_key())
        if body is not None:
            options["json"] = body
        return self.http.post(path, headers=headers, **options)

    def pay(self, key: str | None = None, **fields: Any) -> httpx.Response:
        """Take a payment of 10.99 USD from a source of its own; `fields` say what differs."""
        return self.post("/v1/payments", new_payment(**fields), key)

    def paid(self, **fields: Any) -> Json:
        """Take a payment that must be taken, and return it."""
        answer = self.pay(**fields)
        assert 201 == answer.status_code, answer.text
        payment: Json = answer.json()
        return payment

    def payment(self, payment_id: str) -> Json:
        """Read a payment."""
        answer = self.get(f"/v1/payments/{payment_id}")
        assert 200 == answer.status_code, answer.text
        payment: Json = answer.json()
        return payment

    def balances(self) -> dict[str, Json]:
        """Read the balances, by currency."""
        return {row["currency"]: row for row in self.get("/v1/balances").json()["data"]}

    def all_of(self, path: str, limit: int = 100) -> list[Json]:
        """Read a list to its end."""
        found: list[Json] = []
        cursor = None
        while True:
            query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
            page = self.get(path, params=query).json()
            found += page["data"]
            if not page["data"] or page["next_cursor"] is None:
                return found
            cursor = page["next_cursor"]

    def events(self, expected: int) -> list[Json]:
        """Read all events once there are `expected` ones.

        An event shows as soon as no older transaction of the cluster is open, and other tests, in
        databases of their own, have theirs.
        """
        wait_until(lambda: len(self.all_of("/v1/events")) >= expected, EVENTS_TIMEOUT_S)
        return self.all_of("/v1/events")

    def state(self) -> Json:
        """Return everything that the merchant can see, to compare before and after."""
        return {
            "balances": self.balances(),
            "payments": self.all_of("/v1/payments"),
            "events": self.all_of("/v1/events"),
        }

    def sibling(self, merchant: Merchant) -> Api:
        """Return a client of the same service with another key; both are closed together."""
        self._siblings.append(Api(self.service, merchant))
        return self._siblings[-1]

    def close(self) -> None:
        """Close the connections."""
        for sibling in self._siblings:
            sibling.close()
        self.http.close()


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an answer that must be a well-formed problem."""
    assert "application/problem+json" == answer.headers["content-type"]
    problem = answer.json()
    assert answer.status_code == problem["status"]
    assert f"urn:evertill:problem:{problem['code']}" == problem["type"]
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert problem["title"]
    assert problem["detail"]
    return answer.status_code, problem["code"]


def new_key() -> str:
    """Return an idempotency key that nobody used before."""
    return f"key-{secrets.token_hex(12)}"


def new_source() -> str:
    """Return a source token that nobody used before.

    The letter is why it is never refused: one in 50,000 would be 16 digits like a card's.
    """
    return f"tok_s{secrets.token_hex(8)}"


def new_payment(**fields: object) -> Json:
    """Return the body of a payment; fields that are None are left out."""
    body: Json = {"amount": 1099, "currency": "USD", "source": new_source()} | fields
    return {name: value for name, value in body.items() if value is not None}


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait for a condition that another process will make true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not become true in time"
        time.sleep(POLL_INTERVAL_S)

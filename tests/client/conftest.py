"""Fixtures of the client's tests: a stand-in for the service, and the commands as a user runs them.

The stand-in is a small HTTP server that answers as the service would, and fails when it is told to.
It stays beside the real service for one reason: nobody can tell that one to drop a connection right
after its commit, or to answer 504 on the third call. What needs no such script is tested against
the real service, in test_import_end_to_end.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "sk_test_stand_in"
SOURCES = Path(__file__).resolve().parents[2] / "src"
COMMAND = """
import sys
import click
from evertill.client.commands import commands
from evertill.domain.errors import EvertillError
try:
    click.Group(commands=commands)()
except EvertillError as error:
    sys.exit(f"evertill: {error}")
"""
RUN_TIMEOUT_S = 100

Json = dict[str, Any]


class StandIn:
    """Keeps one answer for each key; `faults` are carried out on the next calls, one each.

    A fault is `drop_before`, `drop_after` (the commit), a whole-call status such as `503`, or an
    item code such as `key_in_flight` that one payment of the call is answered with.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[Json, Json]] = {}
        self.faults: deque[str] = deque()
        self.key = KEY
        self.calls = 0
        self.concurrent_max = 0
        self.largest_body_bytes = 0
        self.largest_batch = 0
        self.retry_after = "0"
        self.decide: Callable[[Json], str | None] = lambda _item: None
        self.poison: str | None = None
        self.lock = threading.Lock()
        self._concurrent = 0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                stand_in.serve(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that were killed: they are the point of some tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def captured_minor(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for _, payment in self.answers.values():
            if payment["status"] != "declined":
                sums[payment["currency"]] = sums.get(payment["currency"], 0) + payment["amount"]
        return sums

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self.calls += 1
            self._concurrent += 1
            self.concurrent_max = max(self.concurrent_max, self._concurrent)
            fault = self.faults.popleft() if self.faults else ""
        try:
            self._answer(request, fault)
        finally:
            with self.lock:
                self._concurrent -= 1

    def _answer(self, request: BaseHTTPRequestHandler, fault: str) -> None:
        raw = request.rfile.read(int(request.headers["Content-Length"]))
        with self.lock:
            self.largest_body_bytes = max(self.largest_body_bytes, len(raw))
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return _reply(request, 401, _problem(401, "unauthorized"))
        if fault == "drop_before":
            return _drop(request)
        if fault.isdigit():
            codes = {"429": "rate_limited", "503": "unavailable", "504": "outcome_unknown"}
            code = codes.get(fault, "invalid_request")
            return _reply(request, int(fault), _problem(int(fault), code), self.retry_after)
        body = json.loads(raw)
        if request.path == "/v1/payments":
            key = request.headers["Idempotency-Key"]
            result = self._take({**body, "idempotency_key": key}, fault)
            replayed = "true" if result["replayed"] else None
            status, reply = result["status"], result["body"]
        else:
            items = body["payments"]
            self.largest_batch = max(self.largest_batch, len(items))
            if self.poison and any(self.poison == item["source"] for item in items):
                return _reply(request, 422, _problem(422, "invalid_request"))
            first = fault if fault != "drop_after" else ""
            results = [self._take(item, "" if n else first) for n, item in enumerate(items)]
            status, reply, replayed = 200, {"results": results}, None
        if fault == "drop_after":
            return _drop(request)
        return _reply(request, status, reply, replayed=replayed)

    def _take(self, item: Json, fault: str) -> Json:
        if fault in {"key_in_flight", "outcome_unknown", "unavailable"}:
            status = {"key_in_flight": 409, "outcome_unknown": 504, "unavailable": 503}[fault]
            return {"status": status, "replayed": False, "body": _problem(status, fault)}
        key = item["idempotency_key"]
        with self.lock:
            if key in self.answers:
                before, payment = self.answers[key]
                if before != item:
                    problem = _problem(422, "key_reused")
                    return {"status": 422, "replayed": False, "body": problem}
                return {"status": 201, "replayed": True, "body": payment}
            decline = self.decide(item)
            payment = {
                "id": f"pay_{len(self.answers):032x}",
                "status": "declined" if decline else "captured",
                "amount": item["amount"],
                "currency": item["currency"],
                "decline": {"code": decline, "message": "No."} if decline else None,
            }
            self.answers[key] = (item, payment)
        return {"status": 201, "replayed": False, "body": payment}


def _problem(status: int, code: str) -> Json:
    detail = f"The stand-in answers {code}."
    return {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}


def _drop(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.close()


def _reply(
    request: BaseHTTPRequestHandler,
    status: int,
    body: Json,
    retry_after: str | None = None,
    *,
    replayed: str | None = None,
) -> None:
    data = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    if retry_after is not None:
        request.send_header("Retry-After", retry_after)
    if replayed is not None:
        request.send_header("Idempotent-Replayed", replayed)
    request.end_headers()
    request.wfile.write(data)
    request.wfile.flush()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


class Shell:
    """Runs the client's commands in processes of their own, in an empty directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUTF8": "1"}
        for name in ("EVERTILL_URL", "EVERTILL_API_KEY"):
            environment.pop(name, None)
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=self.directory,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=RUN_TIMEOUT_S)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def figures(self, *arguments: str) -> Json:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        figures: Json = json.loads(done.stdout)
        return figures


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)

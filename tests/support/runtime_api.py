"""AWS Lambda as the function knows it: the Runtime API, and a process that runs the built asset.

The process is AWS's own runtime interface client (`awslambdaric`) with the asset as its only code,
in an environment like Lambda's and nothing of ours on its path. It asks this server for invocations
and gives it the answers: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

HANDLER = "evertill.validation.handler.handle"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:payment-validation-test"
ANSWER_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.2
DEADLINE_MS = 30_000
# What the client itself is made of, beside the asset, as in Lambda's own image.
CLIENT_PACKAGES = ("awslambdaric", "simplejson", "snapshot-restore-py")
_PREFIX = "/2018-06-01/runtime/"


class Answer(NamedTuple):
    """What the function gave back: `error` is its path when it raised or did not load."""

    request_id: str
    payload: Any
    error: str | None
    took_ms: float


class RuntimeApi(ThreadingHTTPServer):
    """The Runtime API for one execution environment."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of the loopback interface."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.invocations: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, str | None, bytes]] = queue.Queue()
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a function that was killed while it waited."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: RuntimeApi

    def do_GET(self) -> None:
        request_id, payload = self.server.invocations.get()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + DEADLINE_MS))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_POST(self) -> None:
        body = self._body()
        path = self.path.removeprefix(_PREFIX)
        error = None if path.endswith("/response") else path
        self.server.answers.put((path.split("/")[1], error, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        """Read a body of stated length or in chunks, as the client prefers."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Function:
    """One execution environment: a process, kept between invocations as Lambda keeps it."""

    def __init__(
        self, asset: Path, client: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        """Start the process; it loads the asset while the first invocation is on its way."""
        self.log = log
        self._api = RuntimeApi()
        threading.Thread(target=self._api.serve_forever, daemon=True).start()
        self.began_s = time.perf_counter()
        command = [sys.executable, "-S", "-B", "-c", _START]
        command += [str(asset), str(client), HANDLER]
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=asset,
                env={**_lambda_environment(asset, self._api.address), **environment},
            )

    def invoke(self, event: object) -> Answer:
        """Invoke it as AWS would and return what it answered."""
        return self.invoke_text(json.dumps(event))

    def invoke_text(self, payload: str) -> Answer:
        """Invoke it with a payload as it stands."""
        request_id = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
        began_s = time.perf_counter()
        self._api.invocations.put((request_id, payload.encode()))
        deadline_s = began_s + ANSWER_TIMEOUT_S
        found = None
        while found is None:
            assert time.perf_counter() < deadline_s, f"no answer:\n{self.output()}"
            with contextlib.suppress(queue.Empty):
                found = self._api.answers.get(timeout=POLL_INTERVAL_S)
            assert found or self._process.poll() is None, f"it ended:\n{self.output()}"
        answered, error, body = found
        took_ms = (time.perf_counter() - began_s) * 1000
        assert answered in {request_id, "error"}, answered
        return Answer(request_id, json.loads(body), error, took_ms)

    def output(self) -> str:
        """Return what it has written to its log."""
        return self.log.read_text()

    def entries(self) -> list[dict[str, Any]]:
        """Return its log lines; each has to be one JSON object."""
        return [json.loads(line) for line in self.output().splitlines()]

    def close(self) -> None:
        """End the environment."""
        self._process.kill()
        self._process.wait()
        self._api.shutdown()
        self._api.server_close()


@contextmanager
def running_function(
    asset: Path, client: Path, environment: Mapping[str, str], log: Path
) -> Iterator[Function]:
    """Run one execution environment for a while."""
    function = Function(asset, client, environment, log)
    try:
        yield function
    finally:
        function.close()


# Without site-packages: only the asset and the client can be imported.
_START = """
import sys
*sys.path[:0], handler = sys.argv[1:]
sys.argv = ["awslambdaric", handler]
from awslambdaric.__main__ import main
main(sys.argv)
"""


def make_client(folder: Path) -> Path:
    """Fill `folder` with the client's packages and nothing else, and return it."""
    for name in CLIENT_PACKAGES:
        found = metadata.distribution(name)
        for path in found.files or []:
            if ".." not in path.parts and "__pycache__" not in path.parts:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(str(found.locate_file(path)))
    return folder


def _lambda_environment(asset: Path, address: str) -> dict[str, str]:
    """Return what Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    return {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "payment-validation-test",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "LAMBDA_TASK_ROOT": str(asset),
        "_HANDLER": HANDLER,
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
    }

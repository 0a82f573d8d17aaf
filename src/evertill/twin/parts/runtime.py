"""One execution environment of a function: a process under the runtime interface client.

The client asks for events and posts answers at a Runtime API of its own, as in AWS:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. It is separate from the function,
which decides how many environments there are and who may use them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import psutil

from evertill.twin.api.http import HttpServer
from evertill.twin.api.messages import Answer, Request
from evertill.twin.plan.functions import FunctionSpec
from evertill.twin.processes import Owned, Processes

# Work, and so not divided by the twin's speed. AWS ends an initialization after this as well.
INIT_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 2.0
MEMORY_INTERVAL_S: Final = 0.1
# An environment has its role's keys from its start, and these expire after hours.
AGE_MAX_S: Final = 3_600.0
LOG_TAIL_BYTES: Final = 4_096
PREFIX: Final = "/2018-06-01/runtime"
JSON: Final = ("content-type", "application/json")
GONE: Final = Answer(status=410)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an invocation came to; `error` is empty, or what AWS calls the function's error."""

    request_id: str
    payload: bytes
    error: str = ""
    log: bytes = b""
    duration_ms: float = 0.0


class Gone(Exception):
    """The environment's process has ended."""


class Environment:
    """A process that serves one event at a time; it is used again until something goes wrong."""

    def __init__(
        self, spec: FunctionSpec, zone: str, folder: Path, code: Path, processes: Processes
    ) -> None:
        """Prepare to run `code` in `folder`, which is its own."""
        self._spec: Final = spec
        self.zone: Final = zone
        self._folder: Final = folder
        self._code: Final = code
        self._processes: Final = processes
        self._http: Final = HttpServer(("127.0.0.1", 0), self._answer)
        self._events: Final[asyncio.Queue[tuple[str, bytes, float] | None]] = asyncio.Queue(2)
        self._answers: dict[str, asyncio.Future[tuple[bytes, str]]] = {}
        self._ready: Final = asyncio.Event()
        self._broken: tuple[bytes, str] | None = None
        self._owned: Owned | None = None
        self._log: Final = folder / "log"
        self._made_s: Final = time.monotonic()
        self.used_s = self._made_s

    @property
    def is_usable(self) -> bool:
        """Tell whether another event may be given to it."""
        is_young = time.monotonic() - self._made_s < AGE_MAX_S
        is_running = self._owned is not None and self._owned.is_running
        return is_running and is_young and self._broken is None

    @property
    def process(self) -> Owned | None:
        """Return the process, for faults."""
        return self._owned

    async def start(self, variables: Mapping[str, str]) -> None:
        """Start the process; that it is ready is waited for by the first invocation."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._http.start()
        address = "{}:{}".format(*self._http.address)
        self._owned = await self._processes.start(
            f"{self._spec.region}/function/{self._spec.name}",
            [sys.executable, "-m", "awslambdaric", self._spec.handler],
            environment={
                **variables,
                "AWS_LAMBDA_RUNTIME_API": address,
                "LAMBDA_TASK_ROOT": str(self._code),
                "TMPDIR": str(self._folder),
                "PYTHONPATH": str(self._code),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            log=self._log,
            directory=self._code,
        )

    async def stop(self) -> None:
        """End the process and its Runtime API."""
        if self._owned is not None:
            self._owned.thaw()
            await self._owned.stop(STOP_TIMEOUT_S)
        if not self._events.full():
            # Who waited for an event is gone, and its request ends with it.
            self._events.put_nowait(None)
        await self._http.stop()

    async def invoke(self, payload: bytes) -> Result:
        """Give it one event; whatever happens is a result, and a bad one ends the environment."""
        request_id = str(uuid4())
        start_of_log = self._log.stat().st_size if self._log.exists() else 0
        begun_s = time.monotonic()
        try:
            body, error = await self._within_limits(request_id, payload)
        finally:
            self._answers.pop(request_id, None)
            self.used_s = time.monotonic()
        return Result(
            request_id=request_id,
            payload=body,
            error=error,
            log=self._log_since(start_of_log),
            duration_ms=(time.monotonic() - begun_s) * 1000,
        )

    async def _within_limits(self, request_id: str, payload: bytes) -> tuple[bytes, str]:
        if not await self._is_ready():
            return await self._ended(request_id)
        timeout_s = self._spec.timeout_s
        future: asyncio.Future[tuple[bytes, str]] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = future
        self._events.put_nowait((request_id, payload, time.time() + timeout_s))
        watching = asyncio.create_task(self._watch(future))
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            await self._kill()
            message = f"{request_id} Task timed out after {timeout_s:.2f} seconds"
            return _failure("Sandbox.Timedout", message)
        except Gone:
            return await self._ended(request_id)
        finally:
            watching.cancel()

    async def _is_ready(self) -> bool:
        """Wait until the function is loaded; it is not when its process ended or takes too long."""
        if self._owned is None:
            return False
        waits = [
            asyncio.create_task(self._ready.wait()),
            asyncio.create_task(self._owned.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=INIT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._ready.is_set() and self.is_usable

    async def _watch(self, future: asyncio.Future[tuple[bytes, str]]) -> None:
        """End an invocation whose process died or takes more memory than it has."""
        while self._owned is not None and self._owned.is_running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._owned.wait(), MEMORY_INTERVAL_S)
            if self._memory_mb() > self._spec.memory_mb:
                await self._kill()
        if not future.done():
            future.set_exception(Gone())

    def _memory_mb(self) -> float:
        """Return what the process has; what it starts is not looked for, as that takes long."""
        if self._owned is not None and self._owned.is_running:
            with contextlib.suppress(psutil.Error):
                used: int = psutil.Process(self._owned.pid).memory_info().rss
                return used / (1024 * 1024)
        return 0.0

    async def _ended(self, request_id: str) -> tuple[bytes, str]:
        """Return what is told of an environment that is no more."""
        if self._broken is not None:
            return self._broken
        await self._kill()
        status = self._owned.status if self._owned is not None else None
        how = "signal: killed" if status is None or status < 0 else f"exit status {status}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
        return _failure("Runtime.ExitError", message)

    async def _kill(self) -> None:
        if self._owned is not None and self._owned.is_running:
            await self._owned.kill()

    def _log_since(self, start: int) -> bytes:
        if not self._log.exists():
            return b""
        with self._log.open("rb") as log:
            log.seek(max(start, self._log.stat().st_size - LOG_TAIL_BYTES))
            return log.read(LOG_TAIL_BYTES)

    async def _answer(self, request: Request) -> Answer:
        """Answer the runtime interface client."""
        path = request.path.removeprefix(PREFIX)
        if path == "/invocation/next":
            return await self._next()
        if path == "/init/error":
            self._broken = (request.body, "Unhandled")
            self._ready.set()
            return _accepted()
        _, _, request_id, kind = path.split("/") if path.count("/") == 3 else ("", "", "", "")  # noqa: PLR2004 - /invocation/ID/response
        future = self._answers.get(request_id)
        if kind not in {"response", "error"} or future is None or future.done():
            return Answer(status=400, headers=(JSON,), body=b"{}")
        future.set_result((request.body, "Unhandled" if kind == "error" else ""))
        return _accepted()

    async def _next(self) -> Answer:
        self._ready.set()
        event = await self._events.get()
        if event is None:
            return GONE
        request_id, payload, deadline_s = event
        headers = {
            "lambda-runtime-aws-request-id": request_id,
            "lambda-runtime-deadline-ms": str(int(deadline_s * 1000)),
            "lambda-runtime-invoked-function-arn": self._spec.arn,
        }
        return Answer(status=200, headers=(JSON, *headers.items()), body=payload)


def _failure(kind: str, message: str) -> tuple[bytes, str]:
    document: dict[str, Any] = {"errorType": kind, "errorMessage": message}
    return msgspec.json.encode(document), "Unhandled"


def _accepted() -> Answer:
    return Answer(status=202, headers=(JSON,), body=b'{"status":"OK"}')

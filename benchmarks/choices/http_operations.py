"""Check by doing how the HTTP servers behave when things go wrong.

Each probe starts a server with two workers, does one unkind thing to it over raw sockets, and
prints one line with what came back. It is separate from `http_servers.py` because it prints
behaviour, not figures. Run it with

    python benchmarks/choices/http_operations.py [granian uvicorn]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import uvicorn
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import Server as Granian

HOST = "127.0.0.1"
WORKERS = 2
BODY_BYTES = 1 << 20
BODY_SECONDS = 1.0
HEADER_SECONDS = 2
WORK_SECONDS = 1.0
REPLY_SECONDS = 6.0
START_SECONDS = 10.0


class TooLargeError(Exception):
    """The body is larger than the limit."""


async def background(name: str) -> None:
    """Stand for the committer: a task that lives as long as the worker."""
    print(f"{name} task starts in a worker", flush=True)
    try:
        while True:
            await asyncio.sleep(0.1)
    finally:
        print(f"{name} task ends in a worker", flush=True)


class RsgiApp:
    """The probes' handler behind granian."""

    def __init__(self) -> None:
        """Nothing runs before the worker's loop exists."""
        self._task: asyncio.Task[None] | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the background task; the loop does not run yet."""
        self._task = loop.create_task(background("granian"))

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the background task; the loop has stopped and can be run again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self._task)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Read the body within the limits, work, answer."""
        if int(scope.headers.get("content-length") or 0) > BODY_BYTES:
            protocol.response_str(413, [("connection", "close")], "too large")
            return
        try:
            size = await self._read(protocol)
        except TimeoutError:
            protocol.response_str(408, [("connection", "close")], "too slow")
            return
        except TooLargeError:
            protocol.response_str(413, [("connection", "close")], "too large")
            return
        if scope.path == "/work":
            await asyncio.sleep(WORK_SECONDS)
        protocol.response_str(200, [("x-worker", str(os.getpid()))], f"read {size}")

    @staticmethod
    async def _read(protocol: Any) -> int:
        size = 0
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in protocol:
                size += len(chunk)
                if size > BODY_BYTES:
                    raise TooLargeError
        return size


class AsgiApp:
    """The probes' handler behind uvicorn."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Dispatch the lifespan protocol and requests."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        headers = dict(scope["headers"])
        try:
            if int(headers.get(b"content-length", 0)) > BODY_BYTES:
                raise TooLargeError
            size = await self._read(receive)
        except (TimeoutError, TooLargeError) as error:
            status = 408 if isinstance(error, TimeoutError) else 413
            await self._answer(send, status, b"refused", (b"connection", b"close"))
            return
        if scope["path"] == "/work":
            await asyncio.sleep(WORK_SECONDS)
        worker = (b"x-worker", str(os.getpid()).encode())
        await self._answer(send, 200, f"read {size}".encode(), worker)

    @staticmethod
    async def _lifespan(receive: Any, send: Any) -> None:
        await receive()
        task = asyncio.create_task(background("uvicorn"))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await send({"type": "lifespan.shutdown.complete"})

    @staticmethod
    async def _read(receive: Any) -> int:
        size = 0
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                size += len(message.get("body", b""))
                if size > BODY_BYTES:
                    raise TooLargeError
                if not message.get("more_body"):
                    return size

    @staticmethod
    async def _answer(send: Any, status: int, body: bytes, header: tuple[bytes, bytes]) -> None:
        headers = [header, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


asgi_app = AsgiApp()


def load_rsgi_app() -> RsgiApp:
    """Build the application inside a worker."""
    return RsgiApp()


def serve_granian(port: int) -> None:
    """Serve with granian and two workers that are replaced when they die."""
    server = Granian(
        target="in-process",
        address=HOST,
        port=port,
        interface=Interfaces.RSGI,
        workers=WORKERS,
        runtime_mode=RuntimeModes[os.environ.get("PROBE_MODE", "mt")],
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=10,
    )
    server.serve(target_loader=load_rsgi_app, wrap_loader=False)


def serve_uvicorn(port: int) -> None:
    """Serve with uvicorn and two workers."""
    uvicorn.run(
        "http_operations:asgi_app",
        host=HOST,
        port=port,
        workers=WORKERS,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


SERVERS: dict[str, Callable[[int], None]] = {"granian": serve_granian, "uvicorn": serve_uvicorn}


def exchange(port: int, *parts: bytes | float) -> str:
    """Send the parts (a number is a pause) and describe what comes back."""
    begun, data = time.monotonic(), b""
    with socket.create_connection((HOST, port)) as sock:
        sock.settimeout(REPLY_SECONDS)
        end = "open"
        try:
            for part in parts:
                time.sleep(part) if isinstance(part, float) else sock.sendall(part)
            while chunk := sock.recv(65536):
                data += chunk
                sock.settimeout(0.5)
            end = "closed"
        except TimeoutError:
            end = "still open"
        except OSError as error:
            end = type(error).__name__
    head = data.split(b"\r\n\r\n")[0].decode(errors="replace").replace("\r\n", " | ")
    return f"{head or 'no answer'} -> {end} after {time.monotonic() - begun:.2f} s"


def _post(path: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST " + path + b" HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n"


def probe_requests(port: int) -> Iterator[str]:
    """Send requests that are odd, slow or too large."""
    chunked = b"transfer-encoding: chunked"
    big = b"%x\r\n%b\r\n" % (1 << 19, b"x" * (1 << 19))
    yield "plain: " + exchange(port, _post(b"/", b"content-length: 2"), b"{}")
    yield "chunked: " + exchange(port, _post(b"/", chunked), b"2\r\n{}\r\n0\r\n\r\n")
    yield "chunked over 1 MiB: " + exchange(port, _post(b"/", chunked), big, big, big)
    yield "bad chunk: " + exchange(port, _post(b"/", chunked), b"zz\r\n")
    yield "malformed line: " + exchange(port, b"NONSENSE\r\n\r\n")
    both = _post(b"/", b"content-length: 2", chunked)
    yield "length and chunked: " + exchange(port, both, b"0\r\n\r\n")
    yield "two lengths: " + exchange(
        port, _post(b"/", b"content-length: 2", b"content-length: 3"), b"{}1"
    )
    yield "header of 600 kB: " + exchange(port, _post(b"/", b"x-a: " + b"a" * 600_000))
    yield "declared 2 MiB: " + exchange(port, _post(b"/", b"content-length: 2097152"))
    yield "body never ends: " + exchange(port, _post(b"/", b"content-length: 9"), b"{")
    yield "headers never end: " + exchange(port, b"POST / HTTP/1.1\r\nhost: x\r\n")
    yield "headers drip: " + exchange(port, *([b"GET / HTTP/1.1\r\n"] + [1.0, b"a: b\r\n"] * 4))
    yield "silent connection: " + exchange(port)


def probe_respawn(port: int, server: psutil.Process) -> Iterator[str]:
    """Kill one worker and see whether another takes its place."""
    workers = [
        child for child in server.children() if "resource_tracker" not in " ".join(child.cmdline())
    ]
    workers[0].send_signal(signal.SIGKILL)
    begun, gone = time.monotonic(), {worker.pid for worker in workers}
    while time.monotonic() - begun < START_SECONDS:
        with contextlib.suppress(psutil.Error):
            new = [c for c in server.children() if c.pid not in gone and c.status() != "zombie"]
            if new:
                yield f"killed worker replaced after {time.monotonic() - begun:.2f} s"
                break
        time.sleep(0.02)
    else:
        yield "killed worker not replaced"
    time.sleep(1)
    yield "after the kill: " + exchange(port, _post(b"/", b"content-length: 0"))


def probe_drain(port: int, process: subprocess.Popen[str]) -> Iterator[str]:
    """Send SIGTERM while a request is worked on and a connection is idle."""
    idle = socket.create_connection((HOST, port))
    idle.sendall(_post(b"/", b"content-length: 0"))
    idle.recv(65536)
    busy = socket.create_connection((HOST, port))
    busy.sendall(_post(b"/work", b"content-length: 0"))
    time.sleep(0.3)
    begun = time.monotonic()
    process.terminate()
    time.sleep(0.2)
    refused = socket.socket().connect_ex((HOST, port))
    busy.settimeout(REPLY_SECONDS)
    reply = busy.recv(65536).split(b"\r\n")[0].decode()
    yield f"in flight at SIGTERM: {reply!r}; a new connection: {os.strerror(refused)}"
    code = process.wait(20)
    yield f"exit code {code} after {time.monotonic() - begun:.2f} s with an idle connection"


def probe_used_port(name: str, port: int) -> Iterator[str]:
    """Start a second server on the same port."""
    second = subprocess.Popen(
        [sys.executable, __file__, "--serve", name, str(port)], start_new_session=True
    )
    try:
        yield f"used port: exit {second.wait(5)}"
    except subprocess.TimeoutExpired:
        yield "used port: the second server starts and shares the port"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(second.pid, signal.SIGKILL)


def probe(name: str) -> None:
    """Run every probe against one server and print what happened."""
    with socket.socket() as chosen:
        chosen.bind((HOST, 0))
        port = chosen.getsockname()[1]
    here = os.path.dirname(os.path.abspath(__file__))
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", name, str(port)], text=True, cwd=here
    )
    deadline = time.monotonic() + START_SECONDS
    while socket.socket().connect_ex((HOST, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    probes = [
        lambda: probe_requests(port),
        lambda: probe_respawn(port, psutil.Process(process.pid)),
        lambda: probe_used_port(name, port),
        lambda: probe_drain(port, process),
    ]
    for each in probes:
        try:
            for line in each():
                print(f"[{name}] {line[:260]}", flush=True)
        except (OSError, LookupError, subprocess.TimeoutExpired) as error:
            print(f"[{name}] {error!r}", flush=True)
    if process.poll() is None:
        process.kill()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        SERVERS[sys.argv[2]](int(sys.argv[3]))
    else:
        for server_name in sys.argv[1:] or SERVERS:
            probe(server_name)

"""Compare HTTP servers for the payment hot path, by the CPU they cost per request.

Every server runs the same handler: decode a JSON body of about 200 bytes, wait for a group
commit that answers all waiting requests about 3 ms later, answer 201 with about 400 bytes.
One server process and one load generator run at a time; servers take turns, so that noise
on the machine meets all of them. The decisive figure is server CPU seconds per 1000
requests, because load, service and PostgreSQL share the machine in our benchmark.

Run it with

    python benchmarks/choices/http_servers.py [--rounds 3] [--seconds 5] [--only NAME ...]

It is separate from the service so that a server can be judged without our own code around it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import httptools
import msgspec
import psutil
import uvicorn
import uvloop
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import Server as Granian

HOST = "127.0.0.1"
COMMIT_SECONDS = 0.003
START_SECONDS = 10.0
WARM_UP_SECONDS = 1.0
STOP_SECONDS = 10.0
BODY_SECONDS = 5.0
BODY_BYTES = 1 << 20
CONNECTIONS = (64, 256)


class Payment(msgspec.Struct, forbid_unknown_fields=True):
    """The request body of the benchmark."""

    amount: int
    currency: str
    merchant: str
    source: str
    reference: str
    description: str


DECODER = msgspec.json.Decoder(Payment)
ENCODER = msgspec.json.Encoder()
PADDING = "p" * 180
REQUEST_BODY = ENCODER.encode(
    Payment(1099, "USD", "mer_0190f3a2b4c5d6e7", "tok_0190f3a2b4c5d6e7f8a9", "order-1", "x" * 60)
)


class GroupCommit:
    """Answers all waiting requests together, as one commit would."""

    def __init__(self) -> None:
        """Start without a batch; the first request opens one."""
        self._batch: asyncio.Future[None] | None = None

    def join(self) -> asyncio.Future[None]:
        """Return the future of the batch that this request belongs to."""
        if self._batch is None:
            loop = asyncio.get_running_loop()
            self._batch = loop.create_future()
            loop.call_later(COMMIT_SECONDS, self._done)
        return self._batch

    def _done(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.set_result(None)


def answer(payment: Payment) -> bytes:
    """Encode the answer, about 400 bytes."""
    return ENCODER.encode(
        {"id": "pay_01890f3a2b4c5d6e7f8a9b0c1d2e3f4a", "state": "captured", "padding": PADDING}
        | {"amount": payment.amount, "currency": payment.currency}
        | {"source": payment.source, "reference": payment.reference}
    )


RSGI_HEADERS = [("content-type", "application/json"), ("x-request-id", "req_0123456789abcdef")]
ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in RSGI_HEADERS]


class RsgiApp:
    """The handler behind granian's own interface."""

    def __init__(self) -> None:
        """Create the group commit of this worker."""
        self._commit = GroupCommit()

    async def __rsgi__(self, _scope: Any, protocol: Any) -> None:
        """Answer one request."""
        payment = DECODER.decode(await protocol())
        await self._commit.join()
        protocol.response_bytes(201, RSGI_HEADERS, answer(payment))


class GuardedRsgiApp(RsgiApp):
    """The same with a size limit and a deadline on the body: the price of the guards."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request, or refuse a body that is too long or too slow."""
        if int(scope.headers.get("content-length") or 0) > BODY_BYTES:
            protocol.response_empty(413, RSGI_HEADERS)
            return
        async with asyncio.timeout(BODY_SECONDS):
            body = await protocol()
        payment = DECODER.decode(body)
        await self._commit.join()
        protocol.response_bytes(201, RSGI_HEADERS, answer(payment))


class AsgiApp:
    """The handler as raw ASGI, without a framework."""

    def __init__(self) -> None:
        """Create the group commit of this worker."""
        self._commit = GroupCommit()

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request; the lifespan protocol is switched off."""
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        payment = DECODER.decode(body)
        await self._commit.join()
        content = answer(payment)
        headers = [*ASGI_HEADERS, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class OwnProtocol(asyncio.Protocol):
    """The limit: no server, no task per request, only a parser and a callback."""

    def __init__(self, commit: GroupCommit) -> None:
        """Join the process's group commit."""
        self._commit = commit
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the previous request."""
        self._body = b""

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Decode and wait for the commit."""
        payment = DECODER.decode(self._body)
        self._commit.join().add_done_callback(lambda _: self._answer(payment))

    def _answer(self, payment: Payment) -> None:
        content = answer(payment)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
                b"x-request-id: req_0123456789abcdef\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(content), content)
            )


def serve_granian(
    port: int, app: Callable[[], Any] = RsgiApp, mode: RuntimeModes = RuntimeModes.st
) -> None:
    """Serve with granian: one worker process under its supervisor."""
    server = Granian(
        target="in-process",
        address=HOST,
        port=port,
        interface=Interfaces.RSGI,
        workers=1,
        runtime_mode=mode,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=5_000, max_buffer_size=65_536),
        websockets=False,
        backlog=1024,
        backpressure=1024,
        log_enabled=False,
    )
    server.serve(target_loader=app, wrap_loader=False)


def serve_uvicorn(port: int) -> None:
    """Serve with uvicorn on httptools and uvloop."""
    options: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "lifespan": "off"}
    uvicorn.run(
        AsgiApp(),
        host=HOST,
        port=port,
        log_level=logging.ERROR,
        access_log=False,
        **options,
    )


def serve_own(port: int) -> None:
    """Serve with the hand-written protocol."""

    async def main() -> None:
        commit = GroupCommit()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: OwnProtocol(commit), HOST, port, backlog=1024)
        await server.serve_forever()

    uvloop.run(main())


SERVERS: dict[str, Callable[[int], None]] = {
    "own-protocol": serve_own,
    "granian-st": serve_granian,
    "granian-mt": lambda port: serve_granian(port, mode=RuntimeModes.mt),
    "granian-mt-guarded": lambda port: serve_granian(port, GuardedRsgiApp, RuntimeModes.mt),
    "uvicorn-asgi": serve_uvicorn,
}

REQUEST = (
    b"POST /v1/payments HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"authorization: Bearer sk_0123456789abcdef0123456789abcdef\r\n"
    b"idempotency-key: 0190f3a2-b4c5-7d6e-8f7a-9b0c1d2e3f4a\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(REQUEST_BODY), REQUEST_BODY)
)


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when an answer is complete."""

    def __init__(self, latencies: list[float]) -> None:
        """Record latencies in the shared list."""
        self._latencies = latencies
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Finish one answer, by its content-length."""
        buffer = self._buffer + data
        head = buffer.find(b"\r\n\r\n")
        field = buffer.find(b"content-length: ")
        if head < 0 or len(buffer) < head + 4 + int(buffer[field + 16 : buffer.find(b"\r", field)]):
            self._buffer = buffer
            return
        if not buffer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(buffer[:80])
        self._buffer = b""
        self._latencies.append(time.perf_counter() - self._sent)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._transport is not None:
            self._transport.write(REQUEST)


async def load(port: int, connections: int, seconds: float) -> None:
    """Warm up, announce the start, load, and print the latencies' summary as JSON."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    for _ in range(connections):
        await loop.create_connection(lambda: Client(latencies), HOST, port)
    await asyncio.sleep(WARM_UP_SECONDS)
    latencies.clear()
    print("start", flush=True)
    await asyncio.sleep(seconds)
    count, ordered = len(latencies), sorted(latencies)
    summary = {"count": count, "p50": ordered[count // 2], "p99": ordered[int(count * 0.99)]}
    print(json.dumps(summary), flush=True)


class Figures(NamedTuple):
    """What one run measured."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_per_1000: float


def _cpu(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(port)


def _start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def measure(name: str, connections: int, seconds: float) -> Figures:
    """Run one server under one load and return its figures."""
    port = _free_port()
    server = _start("--serve", name, port)
    try:
        _await_port(port)
        client = _start("--load", port, connections, seconds)
        assert client.stdout is not None
        client.stdout.readline()
        before, process = _cpu(psutil.Process(server.pid)), psutil.Process(server.pid)
        summary = json.loads(client.stdout.readline())
        used = _cpu(process) - before
        client.wait(STOP_SECONDS)
    finally:
        server.terminate()
        server.wait(STOP_SECONDS)
    count = summary["count"]
    return Figures(count / seconds, summary["p50"] * 1e3, summary["p99"] * 1e3, used / count * 1e3)


def compare(names: list[str], rounds: int, seconds: float) -> None:
    """Let the servers take turns and print the median of each figure."""
    print(f"{'server':22}{'conns':>6}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU s/1000':>12}")
    for connections in CONNECTIONS:
        runs: dict[str, list[Figures]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                runs[name].append(measure(name, connections, seconds))
        for name, figures in runs.items():
            rate, p50, p99, cpu = map(statistics.median, zip(*figures, strict=True))
            print(f"{name:22}{connections:6}{rate:9.0f}{p50:8.2f}{p99:8.2f}{cpu:12.4f}", flush=True)


def main() -> None:
    """Compare, or play one of the two parts of a comparison."""
    parser = argparse.ArgumentParser(description="compare HTTP servers for the hot path")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PORT"))
    parser.add_argument("--load", nargs=3, metavar=("PORT", "CONNECTIONS", "SECONDS"))
    options = parser.parse_args()
    if options.serve:
        SERVERS[options.serve[0]](int(options.serve[1]))
    elif options.load:
        port, connections, seconds = options.load
        uvloop.run(load(int(port), int(connections), float(seconds)))
    else:
        compare(options.only, options.rounds, options.seconds)


if __name__ == "__main__":
    main()

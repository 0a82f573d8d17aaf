"""The load generator: one process, as lean as can be, because it shares the service's cores.

Requests are bytes that were made before the clock started; of an answer it looks at the status, the
length and the body, which it keeps for the check afterwards. A closed loop sends the next request
of a connection when the one before it is answered. An open loop sends at times that were drawn
before, and counts latency from then, so that a slow answer cannot hide the wait of those behind it.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NamedTuple, cast

from benchmarks import bounds, processor
from benchmarks.workload import Prepared

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_CREATED: Final = (b"201", b"200")


class Plan(NamedTuple):
    """How the requests are sent: over how many connections, for how long, and how fast."""

    connections: int
    warm_up_s: float
    measure_s: float
    # None is a closed loop.
    requests_per_s: float | None = None


class Outcome(NamedTuple):
    """What came of a load: answers by request, and figures of the measured time."""

    bodies: list[bytes | None]
    sent: int
    refused: Counter[str]
    measured: int
    seconds: float
    latencies_ms: list[float]
    before: processor.Moment
    after: processor.Moment


class Load:
    """Sends prepared requests and notes what comes back."""

    def __init__(self, prepared: Prepared) -> None:
        """Send these, each once."""
        count = len(prepared.wires)
        self.wires = prepared.wires
        self.position = 0
        self.started_s = array("d", bytes(8 * count))
        self.ended_s = array("d", bytes(8 * count))
        self.bodies: list[bytes | None] = [None] * count
        self.refused: Counter[str] = Counter()
        self.stopping = False
        self.lost = 0
        self.busy = 0
        self.drained = asyncio.Event()
        self.idle: deque[Connection] = deque()
        self.paced = False

    def next_request(self) -> int:
        """Take the next request's number, or -1 when there is none."""
        position = self.position
        if self.stopping or position >= len(self.wires):
            return -1
        self.position = position + 1
        return position


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    __slots__ = ("_load", "_need", "_parts", "_request", "_transport")

    def __init__(self, load: Load) -> None:
        """Belong to `load`."""
        self._load = load
        self._parts = b""
        self._need = 0
        self._request = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the load starts the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Note a request that will get no answer."""
        if self._request >= 0:
            self._load.lost += 1
            self._rest()

    def begin(self) -> None:
        """Send the next request, now."""
        load = self._load
        request = load.next_request()
        if request < 0:
            return
        load.busy += 1
        self.send(request, time.monotonic())

    def send(self, request: int, at_s: float) -> None:
        """Send a request whose latency counts from `at_s`."""
        self._request = request
        self._load.started_s[request] = at_s
        self._transport.write(self._load.wires[request])

    def data_received(self, data: bytes) -> None:
        """Take an answer, whole or in parts."""
        if self._need:
            data = self._parts + data
            if len(data) < self._need:
                self._parts = data
                return
        end = data.find(_END) + 4
        length = data.find(_LENGTH) + 16
        need = end + int(data[length : data.find(b"\r", length)])
        if len(data) < need:
            self._parts, self._need = data, need
            return
        self._need = 0
        self._finish(data, end)

    def _finish(self, data: bytes, end: int) -> None:
        load, request, now_s = self._load, self._request, time.monotonic()
        load.ended_s[request] = now_s
        if data[9:12] in _CREATED:
            load.bodies[request] = data[end:]
        else:
            load.refused[data[9:12].decode() + " " + data[end : end + 300].decode()] += 1
        following = -1 if load.paced else load.next_request()
        if following >= 0:
            self.send(following, now_s)
        else:
            self._rest()

    def _rest(self) -> None:
        load = self._load
        self._request = -1
        load.busy -= 1
        if load.paced:
            load.idle.append(self)
        if load.busy == 0:
            load.drained.set()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def run(
    prepared: Prepared, port: int, plan: Plan, read: Callable[[], processor.Moment]
) -> Outcome:
    """Send what was prepared as planned; `read` tells the processor time at a moment."""
    load = Load(prepared)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1]
        for _ in range(plan.connections)
    ]
    # The garbage collector would go through every request that was made, again and again.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return await _drive(load, connections, plan, read)
    finally:
        gc.enable()
        gc.unfreeze()
        for connection in connections:
            connection.close()
        await asyncio.sleep(0)


async def _drive(
    load: Load, connections: list[Connection], plan: Plan, read: Callable[[], processor.Moment]
) -> Outcome:
    if plan.requests_per_s is None:
        for connection in connections:
            connection.begin()
        pacer = None
    else:
        load.paced = True
        load.idle.extend(connections)
        pacer = asyncio.create_task(_pace(load, plan.requests_per_s))
    await _wait(load, plan.warm_up_s)
    before = read()
    await _wait(load, plan.measure_s)
    after = read()
    load.stopping = True
    if pacer is not None:
        pacer.cancel()
        await asyncio.gather(pacer, return_exceptions=True)
    if load.busy:
        load.drained.clear()
        await asyncio.wait_for(load.drained.wait(), bounds.DRAIN_TIMEOUT_S)
    return _outcome(load, before, after)


async def _wait(load: Load, seconds: float) -> None:
    """Wait, or until all requests are answered."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if load.position == len(load.wires) and not load.busy:
            return
        await asyncio.sleep(min(bounds.WAIT_INTERVAL_S, seconds))


async def _pace(load: Load, requests_per_s: float) -> None:
    """Send at drawn times, a Poisson process; what finds no idle connection waits its turn."""
    chance = random.Random(load.position)  # noqa: S311 - a workload is to be repeatable
    gaps = (chance.expovariate(requests_per_s) for _ in load.wires)
    due_s = array("d", accumulate(gaps, initial=time.monotonic()))
    while load.position < len(load.wires):
        now_s = time.monotonic()
        while load.idle and due_s[load.position] <= now_s:
            request = load.next_request()
            if request < 0:
                return
            load.busy += 1
            load.idle.popleft().send(request, due_s[request])
        await asyncio.sleep(bounds.PACING_INTERVAL_S)


def _outcome(load: Load, before: processor.Moment, after: processor.Moment) -> Outcome:
    ended = load.ended_s
    inside = [n for n in range(load.position) if before.at_s <= ended[n] < after.at_s]
    if load.lost:
        load.refused["a connection was lost"] += load.lost
    latencies_ms = sorted((ended[n] - load.started_s[n]) * 1000 for n in inside)
    last_s = max((ended[n] for n in inside), default=after.at_s)
    ran_dry = load.position == len(load.wires)
    return Outcome(
        load.bodies,
        load.position,
        load.refused,
        len(inside),
        (last_s if ran_dry else after.at_s) - before.at_s,
        latencies_ms,
        before,
        after,
    )

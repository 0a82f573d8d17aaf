"""The load generator: one process, as lean as can be, because it shares the service's cores.

Requests are bytes that were made before the clock started; of an answer it looks at the status, the
length and the body, which it keeps for the check afterwards. A closed loop sends the next request
of a connection when the one before it is answered. An open loop sends at times that were drawn
before, and counts latency from then, so that a slow answer cannot hide the wait of those behind it.

It speaks to its sockets itself: an event loop between them and it took a third of its time.
"""

from __future__ import annotations

import gc
import random
import selectors
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NamedTuple

from benchmarks import bounds, processor
from benchmarks.workload import Prepared

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_CREATED: Final = (b"201", b"200")
_READ: Final = selectors.EVENT_READ
_READ_AND_WRITE: Final = selectors.EVENT_READ | selectors.EVENT_WRITE
_HOST: Final = "127.0.0.1"


class NotAnswered(Exception):
    """The service left requests without an answer, so there is no figure."""


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

    def __init__(self, prepared: Prepared, plan: Plan, port: int) -> None:
        """Open the connections; nothing is sent yet."""
        count = len(prepared.wires)
        self.wires = prepared.wires
        self.plan = plan
        self.position = 0
        self.started_s = array("d", bytes(8 * count))
        self.ended_s = array("d", bytes(8 * count))
        self.bodies: list[bytes | None] = [None] * count
        self.refused: Counter[str] = Counter()
        self.stopping = False
        self.lost = 0
        self.busy = 0
        self.paced = plan.requests_per_s is not None
        self.selector = selectors.DefaultSelector()
        self.idle = deque(Connection(self, port) for _ in range(plan.connections))

    def next_request(self) -> int:
        """Take the next request's number, or -1 when there is none."""
        position = self.position
        if self.stopping or position >= len(self.wires):
            return -1
        self.position = position + 1
        return position

    def begin(self, at_s: float) -> bool:
        """Send the next request over an idle connection, its latency counted from `at_s`."""
        request = self.next_request()
        if request < 0:
            return False
        self.busy += 1
        self.idle.popleft().send(request, at_s)
        return True

    def turn(self, timeout_s: float) -> None:
        """Take the answers that are there, or the first that comes in time."""
        for key, events in self.selector.select(timeout_s):
            if events & _READ:
                key.data.receive()
            else:
                key.data.send_rest()

    def close(self) -> None:
        """Close all connections."""
        for key in list(self.selector.get_map().values()):
            key.data.close()
        self.selector.close()


class Connection:
    """One keep-alive connection with at most one request on its way."""

    __slots__ = ("_load", "_need", "_parts", "_request", "_size", "_socket", "_unsent")

    def __init__(self, load: Load, port: int) -> None:
        """Belong to `load`."""
        self._load = load
        self._socket = socket.create_connection((_HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        load.selector.register(self._socket, _READ, self)
        self._parts: list[bytes] = []
        self._size = 0
        self._need = 0
        self._request = -1
        self._unsent = b""

    def send(self, request: int, at_s: float) -> None:
        """Send a request whose latency counts from `at_s`."""
        load = self._load
        self._request = request
        load.started_s[request] = at_s
        wire = load.wires[request]
        try:
            sent = self._socket.send(wire)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose()
            return
        if sent < len(wire):
            self._unsent = wire[sent:]
            load.selector.modify(self._socket, _READ_AND_WRITE, self)

    def send_rest(self) -> None:
        """Send more of a request that was too large for the socket."""
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._lose()
            return
        if not self._unsent:
            self._load.selector.modify(self._socket, _READ, self)

    def receive(self) -> None:
        """Take an answer, whole or in parts."""
        try:
            data = self._socket.recv(bounds.RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        if self._need:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._need:
                return
            data = b"".join(self._parts)
        end = data.find(_END) + 4
        length = data.find(_LENGTH) + 16
        need = end + int(data[length : data.find(b"\r", length)])
        if len(data) < need:
            self._parts, self._size, self._need = [data], len(data), need
            return
        self._need = 0
        self._finish(data, end)

    def close(self) -> None:
        """Close the connection."""
        self._load.selector.unregister(self._socket)
        self._socket.close()

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
            self._request = -1
            load.busy -= 1
            load.idle.append(self)

    def _lose(self) -> None:
        if self._request >= 0:
            self._load.lost += 1
            self._load.busy -= 1
        self.close()


def run(prepared: Prepared, port: int, plan: Plan, read: Callable[[], processor.Moment]) -> Outcome:
    """Send what was prepared as planned; `read` tells the processor time at a moment."""
    load = Load(prepared, plan, port)
    # The garbage collector would go through every request that was made, again and again.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return _drive(load, read)
    finally:
        gc.enable()
        gc.unfreeze()
        load.close()


def _drive(load: Load, read: Callable[[], processor.Moment]) -> Outcome:
    plan = load.plan
    go_on = _keep_busy if plan.requests_per_s is None else _pacer(load, plan.requests_per_s)
    _go_on_for(load, plan.warm_up_s, go_on)
    before = read()
    _go_on_for(load, plan.measure_s, go_on)
    after = read()
    load.stopping = True
    deadline_s = time.monotonic() + bounds.DRAIN_TIMEOUT_S
    while load.busy:
        if time.monotonic() > deadline_s:
            raise NotAnswered
        load.turn(bounds.WAIT_INTERVAL_S)
    return _outcome(load, before, after)


def _go_on_for(load: Load, seconds: float, go_on: Callable[[Load], None]) -> None:
    """Go on for so long, or until all requests are answered."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if load.position == len(load.wires) and not load.busy:
            return
        go_on(load)


def _keep_busy(load: Load) -> None:
    """Use every connection; one that is answered goes on by itself."""
    while load.idle and load.begin(time.monotonic()):
        pass
    load.turn(bounds.WAIT_INTERVAL_S)


def _pacer(load: Load, requests_per_s: float) -> Callable[[Load], None]:
    """Send at drawn times, a Poisson process; what finds no idle connection waits its turn."""
    chance = random.Random(load.position)  # noqa: S311 - a workload is to be repeatable
    gaps = (chance.expovariate(requests_per_s) for _ in load.wires)
    due_s = array("d", accumulate(gaps, initial=time.monotonic()))

    def pace(load: Load) -> None:
        now_s = time.monotonic()
        while load.idle and due_s[load.position] <= now_s and load.begin(due_s[load.position]):
            pass
        # Looked at a thousand times a second, so a latency may come out that much too long.
        time.sleep(bounds.PACING_INTERVAL_S)
        load.turn(0)

    return pace


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

"""Carries the bytes of one connection, each direction as slow as its link is.

It is separate from the gates because it knows two transports and a link and nothing else: not who
listens, nor whether the bytes are HTTP, WAL or a TLS session that ended before. What is in flight
is bounded by `BUFFER_MAX_BYTES` a direction, as a TCP window bounds it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from evertill.twin.clock import Clock
from evertill.twin.links import OPEN, Way

BUFFER_MAX_BYTES: Final = 1024 * 1024
PIECE_MAX_BYTES: Final = 16 * 1024
# TCP itself gives up after about this long (tcp_retries2 = 15).
STALL_MAX_S: Final = 924.0

# Looks at what passes; what it returns as false breaks the connection instead of being delivered.
Inspect = Callable[[bytes], bool]


class Wire:
    """One direction between two places as all connections of a gate share it."""

    def __init__(self, way: Callable[[], Way], clock: Clock) -> None:
        """Obey what `way` returns at the time."""
        self.way: Final = way
        self.clock: Final = clock
        self.carried_bytes = 0
        self._free_at_s = 0.0
        self._changed = asyncio.Event()

    def poke(self) -> None:
        """Let whoever waits look at the link again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def pass_through(self, size_bytes: int, arrived_s: float) -> None:
        """Wait until so many bytes that came at `arrived_s` are over; TimeoutError if never."""
        while True:
            way = self.way()
            if way.is_cut:
                await self._wait(STALL_MAX_S)
                continue
            left_s = arrived_s + way.delay_ms / 1000 - self.clock.now_s()
            if left_s <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await self._wait(left_s)
        if way.bytes_per_s:
            begin_s = max(self.clock.now_s(), self._free_at_s)
            self._free_at_s = begin_s + size_bytes / way.bytes_per_s
            await self.clock.sleep(self._free_at_s - self.clock.now_s())

    async def _wait(self, twin_s: float) -> None:
        await asyncio.wait_for(self._changed.wait(), self.clock.real_s(twin_s))


class Flow:
    """The bytes from one transport to another, in order, over a wire."""

    def __init__(
        self, wire: Wire, source: asyncio.Transport, target: asyncio.Transport, inspect: Inspect
    ) -> None:
        """Carry from `source` to `target`; nothing moves before the first `push`."""
        self._wire: Final = wire
        self._source: Final = source
        self._target: Final = target
        self._inspect: Final = inspect
        self._queue: deque[tuple[bytes, float]] = deque()
        self._queued_bytes = 0
        self._end: Callable[[], None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.has_ended = False
        self.reverse: Flow | None = None

    def push(self, data: bytes) -> None:
        """Take bytes that came from the source."""
        if not self._inspect(data):
            self.abort()
        elif self._pump is None and self._wire.way() == OPEN:
            # The common case costs no task and no copy.
            self._deliver(data)
        else:
            arrived_s = self._wire.clock.now_s()
            for start in range(0, len(data), PIECE_MAX_BYTES):
                self._queue.append((data[start : start + PIECE_MAX_BYTES], arrived_s))
            self._queued_bytes += len(data)
            self._start()
            self.regulate()

    def finish(self, *, is_half: bool = False, is_broken: bool = False) -> None:
        """End the target once everything before was delivered: its input alone, or all of it."""
        if is_half and self._target.can_write_eof():
            self._end = self._target.write_eof
        else:
            self._end = self._target.abort if is_broken else self._target.close
        if self._pump is None and self._wire.way() == OPEN:
            self._deliver_end()
        else:
            self._start()

    def abort(self) -> None:
        """Break the connection on both sides, as a reset does; what is in flight is lost."""
        self.forget()
        self._source.abort()
        self._target.abort()

    def forget(self) -> None:
        """Drop what is in flight."""
        if self._pump is not None:
            self._pump.cancel()
        self._queue.clear()

    def hold(self) -> None:
        """Take note that the target takes no more for now."""
        self._writable.clear()
        self.regulate()

    def release(self) -> None:
        """Take note that the target takes more."""
        self._writable.set()
        self.regulate()

    def regulate(self) -> None:
        """Let the source send, or not while too much is on its way."""
        is_full = self._queued_bytes > BUFFER_MAX_BYTES or not self._writable.is_set()
        with contextlib.suppress(RuntimeError):  # It may be closing.
            if is_full:
                self._source.pause_reading()
            else:
                self._source.resume_reading()

    def _start(self) -> None:
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._queue or self._end:
                await self._writable.wait()
                data, arrived_s = self._queue[0] if self._queue else (b"", 0.0)
                await self._wire.pass_through(len(data), arrived_s)
                if not self._queue:
                    self._deliver_end()
                    continue
                self._queue.popleft()
                self._queued_bytes -= len(data)
                self._deliver(data)
                self.regulate()
        except TimeoutError:
            self._source.abort()
            self._target.abort()
        finally:
            self._pump = None

    def _deliver(self, data: bytes) -> None:
        self._wire.carried_bytes += len(data)
        # What comes for somebody who has gone is nobody's; asyncio complains of who writes it.
        if not self._target.is_closing():
            self._target.write(data)

    def _deliver_end(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            # A transport that was closed from the other side meanwhile needs no end.
            with contextlib.suppress(RuntimeError, OSError):
                end()
            self.has_ended = True
            if self.reverse is not None and self.reverse.has_ended:
                self._source.close()
                self._target.close()


def passes(_: bytes) -> bool:
    """Inspect nothing."""
    return True


class Side(asyncio.Protocol):
    """One end of a relayed connection: hands what arrives to the flow towards the other end.

    Until it is joined to another end, what arrives waits to be read here, up to the bound.
    """

    transport: asyncio.Transport

    def __init__(self, made: Callable[[Side], None] | None = None) -> None:
        """Call `made` once connected, and `gone`, which the owner sets, once the end is gone."""
        self._made: Final = made
        self.gone: Callable[[], None] | None = None
        self.is_gone = False
        self.outward: Flow | None = None
        self.inward: Flow | None = None
        self._early = bytearray()
        self._news = asyncio.Event()
        self.left: Final = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the owner."""
        # asyncio types it too wide, and uvloop's transports are no subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        """Pass on, or keep what comes before the other end is there."""
        if self.outward is not None:
            self.outward.push(data)
            return
        self._early += data
        self._news.set()
        if len(self._early) > BUFFER_MAX_BYTES:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Pass the end of the input on and stay open for the other direction."""
        self.left.set()
        self._news.set()
        if self.outward is not None:
            self.outward.finish(is_half=True)
        # One that is being closed already does not even know any more whether it is TLS.
        if self.transport.is_closing():
            return False
        # TLS has no half-closed connections, and asyncio complains of who asks for one.
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on."""
        self.is_gone = True
        self.left.set()
        self._news.set()
        if self.outward is not None:
            self.outward.finish(is_broken=exc is not None)
        if self.gone is not None:
            self.gone()

    def pause_writing(self) -> None:
        """Slow the other end down."""
        if self.inward is not None:
            self.inward.hold()

    def resume_writing(self) -> None:
        """Let the other end go on."""
        if self.inward is not None:
            self.inward.release()

    @property
    def unread_bytes(self) -> int:
        """Return how much waits to be read."""
        return len(self._early)

    async def read(self, size_bytes: int) -> bytes:
        """Return exactly so many bytes; ConnectionResetError when they do not come any more."""
        while len(self._early) < size_bytes:
            if self.left.is_set():
                raise ConnectionResetError
            self._news.clear()
            await self._news.wait()
        data = bytes(self._early[:size_bytes])
        del self._early[:size_bytes]
        return data

    def begin(self, outward: Flow, inward: Flow) -> None:
        """Join the flows: what was not read is passed on first."""
        self.outward, self.inward = outward, inward
        if self._early:
            outward.push(bytes(self._early))
            self._early.clear()
            # It may have been stopped when more came than was wanted yet.
            outward.regulate()
        if self.left.is_set():
            outward.finish(is_half=not self.is_gone)


def join(client: Side, server: Side, wires: tuple[Wire, Wire], inspect: Inspect = passes) -> None:
    """Carry bytes between two ends over a wire out and a wire back; `inspect` sees those back."""
    out = Flow(wires[0], client.transport, server.transport, passes)
    back = Flow(wires[1], server.transport, client.transport, inspect)
    out.reverse, back.reverse = back, out
    client.begin(out, back)
    server.begin(back, out)

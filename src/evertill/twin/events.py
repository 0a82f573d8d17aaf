"""The timeline: what happened when, for the console, the log and the drills.

It is separate because every part tells and none of them knows who listens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import IO, Final

import msgspec

from evertill.twin.clock import Clock

# Enough for a screen and a late reader; all of it is in the file.
KEPT_MAX: Final = 2_000
# A listener that is so far behind is disconnected rather than waited for.
BACKLOG_MAX: Final = 1_000

Value = str | int | float | bool | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: `kind` is a stable word such as `task.started` or `fault.set`."""

    number: int
    at_s: float
    epoch_s: float
    region: str
    part: str
    kind: str
    text: str
    fields: dict[str, Value] = {}


class Timeline:
    """Keeps the last events, writes all of them down, and tells whoever listens."""

    def __init__(self, clock: Clock, file: IO[bytes] | None = None) -> None:
        """Stamp events by `clock` and append them to `file` as lines of JSON."""
        self._clock = clock
        self._file = file
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=KEPT_MAX)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._watchers: list[Callable[[Event], None]] = []

    def tell(self, region: str, part: str, kind: str, text: str, **fields: Value) -> Event:
        """Note that something happened to `part`; `region` is empty for what has none."""
        self._number += 1
        event = Event(
            number=self._number,
            at_s=self._clock.now_s(),
            epoch_s=self._clock.epoch_s(),
            region=region,
            part=part,
            kind=kind,
            text=text,
            fields=fields,
        )
        self._kept.append(event)
        if self._file is not None:
            self._file.write(msgspec.json.encode(event) + b"\n")
            self._file.flush()
        for watcher in self._watchers:
            watcher(event)
        for queue in tuple(self._listeners):
            self._hand(queue, event)
        return event

    def kept(self, after: int = 0) -> list[Event]:
        """Return the events that are kept and have a higher number than `after`."""
        return [event for event in self._kept if event.number > after]

    def watch(self, watcher: Callable[[Event], None]) -> None:
        """Call `watcher` with each event, at once; it must not wait."""
        self._watchers.append(watcher)

    async def listen(self, after: int = 0) -> AsyncIterator[Event]:
        """Give the kept events after a number and then each new one, until far behind."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(BACKLOG_MAX + 1)
        self._listeners.add(queue)
        try:
            for event in self.kept(after):
                yield event
            while (new := await queue.get()) is not None:
                yield new
        finally:
            self._listeners.discard(queue)

    def _hand(self, queue: asyncio.Queue[Event | None], event: Event) -> None:
        if queue.qsize() < BACKLOG_MAX:
            queue.put_nowait(event)
        else:
            self._listeners.discard(queue)
            queue.put_nowait(None)

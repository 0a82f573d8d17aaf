"""The stream of a twin: its status every second, and each event as it happens.

It is separate from the server because it goes on for as long as somebody listens. Times are real
here: a person reads no faster because the twin does.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from evertill.twin.control.status import Status
from evertill.twin.events import Timeline

INTERVAL_S: Final = 1.0
# What is told to somebody who connects anew.
PAST_MAX: Final = 200
BACKLOG_MAX: Final = 1_000


async def events(status: Status, timeline: Timeline, last_id: str) -> AsyncIterator[bytes]:
    """Give blocks of events; `last_id` is the last one that a returning reader has seen."""
    blocks: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG_MAX)
    tasks = [
        asyncio.create_task(_follow_status(status, blocks)),
        asyncio.create_task(_follow_timeline(timeline, _after(timeline, last_id), blocks)),
    ]
    try:
        while True:
            yield await blocks.get()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _after(timeline: Timeline, last_id: str) -> int:
    """Return the number after which to begin: what was seen, or some way back."""
    kept = timeline.kept()
    newest = kept[-1].number if kept else 0
    # A number of an earlier run, which counted for itself, says nothing.
    if last_id.isdecimal() and int(last_id) <= newest:
        return int(last_id)
    return max(0, newest - PAST_MAX)


async def _follow_status(status: Status, blocks: asyncio.Queue[bytes]) -> None:
    while True:
        await blocks.put(b"event: status\ndata: " + status.shared() + b"\n\n")
        await asyncio.sleep(INTERVAL_S)


async def _follow_timeline(timeline: Timeline, after: int, blocks: asyncio.Queue[bytes]) -> None:
    while True:
        # A reader who was too slow for a burst is told of it from what is kept.
        async for event in timeline.listen(after):
            after = event.number
            data = msgspec.json.encode(event)
            await blocks.put(b"id: %d\nevent: timeline\ndata: %s\n\n" % (event.number, data))

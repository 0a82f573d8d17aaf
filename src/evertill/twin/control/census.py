"""How many processes the twin consists of, and how much memory they take together.

It is separate because counting takes time: it is done in a thread, and only as often as somebody
who looks can notice.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

import msgspec
import psutil

# Older than this it is counted again, when it is asked for.
AGE_MAX_S: Final = 10.0
MIB: Final = 1024 * 1024


class Count(msgspec.Struct, frozen=True):
    """What was counted."""

    processes: int = 0
    memory_mb: int = 0


class Census:
    """Counts this process and all that it started."""

    def __init__(self) -> None:
        """Begin without a count."""
        self._count = Count()
        self._counted_s = 0.0
        self._counting: asyncio.Task[None] | None = None

    def latest(self) -> Count:
        """Return the last count, and begin another when it is old."""
        is_old = time.monotonic() - self._counted_s > AGE_MAX_S
        if is_old and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self.count())
        return self._count

    async def count(self) -> None:
        """Count now."""
        self._counted_s = time.monotonic()
        self._count = await asyncio.to_thread(_counted)


def _counted() -> Count:
    own = psutil.Process(os.getpid())
    processes = [own, *own.children(recursive=True)]
    return Count(len(processes), round(sum(map(_memory_bytes, processes)) / MIB))


def _memory_bytes(process: psutil.Process) -> int:
    """Return the memory of a process, with its share of what it shares with others.

    PostgreSQL's processes all show the same shared buffers as their own.
    """
    try:
        used = process.memory_full_info()
        return int(getattr(used, "pss", used.uss))
    except psutil.AccessDenied:
        pass
    except psutil.Error:
        return 0
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0

"""Work that is done together for all that came at once, one stage after the other.

Everything that came in is parsed, then all of it handled; all answers of a batch are written, then
all of them logged. Taken from end to end one by one, each request cost a third more: what a stage
needs, code and data, does not fit into the processor's nearest memory beside what the others need.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Stage(Generic[T]):
    """Gathers items and works on them in the event loop's next turn, in their order."""

    __slots__ = ("_items", "_loop", "_work")

    def __init__(self, work: Callable[[T], None]) -> None:
        """Call `work` for each item."""
        self._work = work
        self._items: list[T] = []
        self._loop = asyncio.get_running_loop()

    def add(self, item: T) -> None:
        """Have `item` worked on with those of the same turn."""
        self._items.append(item)
        if len(self._items) == 1:
            self._loop.call_soon(self.run)

    def run(self) -> None:
        """Work on what was gathered."""
        items, self._items = self._items, []
        for item in items:
            try:
                self._work(item)
            except Exception:
                # Those behind it are not to blame.
                log.exception("a stage failed")

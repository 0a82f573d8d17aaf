"""Where a question is asked: of the writer while it answers, of a reader while it does not.

A standby's writer endpoint does not answer at all, and in the active region it is silent for some
seconds whenever the database fails over. Questions are answered all the same, by a reader. Whoever
has just paid reads what he wrote, because the writer is asked for as long as it answers; a reader
is behind, by milliseconds within a region and by about a second across regions, so what it does
not know may exist. `ask` tells which of the two has answered, and callers decide what an absence
means.

It is separate from `reads`, which knows the questions, and from `database`, which knows how to
connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
P = ParamSpec("P")
T = TypeVar("T")

# Connection exceptions, and an operator's intervention: a server that stops or starts.
_LOST = ("08", "57P0")


class Sources:
    """The writer's pool and, where there is one, the reader's, and which of them answers now."""

    def __init__(self, writer: Pool, reader: Pool | None = None) -> None:
        """Ask `writer` first; without a `reader` nobody else."""
        self._writer = writer
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._heard_s = 0.0
        self._is_away = False
        self._is_read_only = False

    async def ask(
        self,
        question: Callable[Concatenate[Pool, P], Awaitable[T]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> tuple[T, bool]:
        """Return the answer, and whether it is current: the writer's, and no standby's."""
        reader = self._reader
        if reader is None or not self._is_away:
            asked_s = self._loop.time()
            try:
                answer = await question(self._writer, *arguments, **named)
            except (PoolTimeout, psycopg.OperationalError) as failure:
                if _is_lost(failure):
                    self._note_silence(asked_s)
                if reader is None or not self._is_away:
                    raise
            else:
                self._note_answer()
                return answer, not self._is_read_only
        return await question(reader, *arguments, **named), False

    def observe(self, asked_s: float, *, takes_writes: bool | None) -> None:
        """Note what the writer, asked at `asked_s`, said of itself; None when it was silent."""
        if takes_writes is None:
            self._note_silence(asked_s)
        else:
            self._note_answer()
            self._is_read_only = not takes_writes

    def _note_answer(self) -> None:
        self._heard_s = self._loop.time()
        self._is_away = False

    def _note_silence(self, asked_s: float) -> None:
        # A pool that is all in use is as silent as a server that is gone. But then others hear from
        # the writer meanwhile, and overload is no reason to answer with what may be old.
        if self._heard_s < asked_s:
            self._is_away = True


def _is_lost(failure: psycopg.OperationalError) -> bool:
    """Tell whether a failure is the connection's, and not a word of a server that works."""
    return failure.sqlstate is None or failure.sqlstate.startswith(_LOST)

"""How a worker takes connections from the socket that it shares with the other workers.

It is separate because the event loop's own server is unfair: whoever wakes first takes all that
waits. Of a handful of long-lived connections, such as a load balancer's, one worker could get every
one while the others had nothing to do; measured, that cost calls of 1000 payments up to a third of
their rate. Here a worker takes a few and then leaves a moment for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

CONNECTIONS_PER_TURN: Final = 2
TURN_INTERVAL_S: Final = 0.001
# When the process has no descriptors left, for example.
FAILURE_PAUSE_S: Final = 0.1


class Acceptor:
    """Takes connections from `listener` and gives each a protocol from `make`."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        """Begin at once; `close` ends it."""
        self._listener = listener
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turn: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Take no more; what was taken goes on."""
        if self._turn is not None:
            self._turn.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _watch(self) -> None:
        self._turn = None
        self._loop.add_reader(self._listener, self._take)

    def _take(self) -> None:
        """Take what waits, but not more than a turn's worth."""
        self._loop.remove_reader(self._listener)
        for taken in range(CONNECTIONS_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                # Nothing is left, so others had their chance: there is nothing to wait for.
                if not taken:
                    self._watch()
                    return
                break
            except OSError:
                self._turn = self._loop.call_later(FAILURE_PAUSE_S, self._watch)
                return
            task = self._loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._turn = self._loop.call_later(TURN_INTERVAL_S, self._take)

    async def _connect(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            # The client may have gone already.
            await self._loop.connect_accepted_socket(self._make, connection)

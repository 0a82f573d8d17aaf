"""A connection for the twin's own questions to a server that may be frozen.

It is separate because of one property: a question that is given up leaves nothing to wait for. A
driver's connection asks the server to cancel and waits for it to say that it did, which a stopped
server never does; here the socket is closed and that is all. It speaks through psycopg's wrapper
of libpq.
"""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGenConn
from psycopg.pq import abc
from psycopg.waiting import Wait, wait_async, wait_conn_async

_GOOD: Final = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
# How often the driver looks whether it was told to stop; we cancel its task instead.
_INTERVAL_S: Final = 60.0
# Later than this, and it was this process that stood still.
STOOD_STILL_AFTER_S: Final = 0.25

Row = tuple[str | None, ...]


class Unanswered(psycopg.OperationalError):
    """The database server did not answer in time, or not at all."""


class Session:
    """One connection to one server, made when it is first needed and again after a failure."""

    def __init__(self, conninfo: str) -> None:
        """Connect as `conninfo` says, later."""
        self._conninfo: Final = conninfo
        self._connection: abc.PGconn | None = None
        self._asking: asyncio.Task[list[Row]] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, statement: str, *parameters: str, timeout_s: float) -> list[Row]:
        """Run one statement and return its rows as text; raise Unanswered or psycopg.Error."""
        async with self._turn:
            task = asyncio.create_task(self._ask(statement, parameters))
            self._asking = task
            try:
                await _wait(task, timeout_s)
            finally:
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})
                self._asking = None
        if task.cancelled():
            message = f"The server did not answer within {timeout_s:g} s, or was given up."
            raise Unanswered(message)
        return task.result()

    def close(self) -> None:
        """Give up what is being asked and close the socket, whatever the server does."""
        if self._asking is not None and not self._asking.done():
            # It closes the socket itself, after the loop has stopped to watch it: the loop would
            # take the next socket of the same number for this one and never look at it.
            self._asking.cancel()
        else:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.finish()
            self._connection = None

    async def _ask(self, statement: str, parameters: tuple[str, ...]) -> list[Row]:
        try:
            connection = await self._connected()
            connection.send_query_params(
                statement.encode(), [parameter.encode() for parameter in parameters]
            )
            results = await wait_async(
                generators.execute(connection), connection.socket, _INTERVAL_S
            )
        except BaseException:
            self._drop()
            raise
        return _rows(results[-1])

    async def _connected(self) -> abc.PGconn:
        if self._connection is None:
            # It is ours from the first byte on: the driver's own way keeps one that it gave up
            # until it is collected as garbage.
            self._connection = pq.PGconn.connect_start(self._conninfo.encode())
            await wait_conn_async(_connect(self._connection), _INTERVAL_S)
        return self._connection


async def _wait(task: asyncio.Task[list[Row]], timeout_s: float) -> None:
    """Wait for an answer, and not count the time for which nobody here looked for one.

    On a machine that is busy this process may stand still for seconds. The answer is in the socket
    then, and a server that gave it in time must not be taken for dead.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await asyncio.wait({task}, timeout=timeout_s)
    late_s = loop.time() - began_s - timeout_s
    if not task.done() and late_s > STOOD_STILL_AFTER_S:
        await asyncio.wait({task}, timeout=min(timeout_s, late_s))


def _connect(connection: abc.PGconn) -> PQGenConn[None]:
    """Go through the steps of connecting, giving what to wait for before each."""
    while connection.status != pq.ConnStatus.BAD:
        match connection.connect_poll():
            case pq.PollingStatus.OK:
                connection.nonblocking = 1
                return
            case pq.PollingStatus.READING:
                yield connection.socket, Wait.R
            case pq.PollingStatus.WRITING:
                yield connection.socket, Wait.W
            case _:
                break
    raise psycopg.OperationalError(connection.error_message.decode(errors="replace").strip())


def _rows(result: abc.PGresult) -> list[Row]:
    if result.status not in _GOOD:
        raise psycopg.errors.error_from_result(result)
    return [
        tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()

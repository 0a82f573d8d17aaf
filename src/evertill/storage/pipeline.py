"""One connection that speaks to PostgreSQL in pipelines of prepared statements.

It is for the group commit alone: libpq's pipeline mode through psycopg's own wrapper of libpq, with
parameters and results left in PostgreSQL's binary format. The driver's cursors would convert every
value and cost more than half a millisecond per batch; here a batch's claim and its record are one
write and one read each (https://www.postgresql.org/docs/17/libpq-pipeline-mode.html).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, Self

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer
from psycopg.pq import abc

from evertill.storage.statements import Prepared

# Errors of this severity end the server's process, and whatever it was doing may be done or not.
_ENDING: Final = frozenset({b"FATAL", b"PANIC"})


class Pipeline:
    """A connection whose statements are queued by `send` and answered together by `sync`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take over an open connection; nobody else may use it afterwards."""
        self._connection = connection
        self._wire: abc.PGconn = connection.pgconn
        # Remembered, because libpq forgets it with the connection, and the loop must not keep it:
        # the next socket of the process may have the same number.
        self._socket = self._wire.socket
        self._loop = asyncio.get_running_loop()
        self._results: list[abc.PGresult] = []
        self._synced: asyncio.Future[None] = self._loop.create_future()
        self._synced.set_result(None)
        self._lost = False

    @classmethod
    async def connect(cls, conninfo: str, statements: Mapping[str, Prepared]) -> Self:
        """Connect and prepare `statements`; raise psycopg.Error when either is refused."""
        pipeline = cls(await psycopg.AsyncConnection.connect(conninfo, autocommit=True))
        pipeline._wire.enter_pipeline_mode()
        pipeline._loop.add_reader(pipeline._socket, pipeline._read)
        try:
            for name, prepared in statements.items():
                pipeline._wire.send_prepare(name.encode(), prepared.text)
            await pipeline.sync()
        except BaseException:
            pipeline.close()
            raise
        return pipeline

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, and with it the fate of what was sent last."""
        return self._lost or self._wire.status != pq.ConnStatus.OK

    def send(self, name: str, *parameters: bytes) -> None:
        """Queue a prepared statement with its parameters in binary format."""
        formats = [pq.Format.BINARY] * len(parameters)
        self._wire.send_query_prepared(
            name.encode(), parameters, formats, result_format=pq.Format.BINARY
        )

    async def sync(self) -> list[abc.PGresult]:
        """Send what is queued and return one result per statement, as `flush` and `results` do."""
        self.flush()
        return await self.results()

    def flush(self) -> None:
        """Send what is queued, at once; the server begins to work on it."""
        self._results = []
        self._synced = self._loop.create_future()
        self._wire.pipeline_sync()
        self._write()

    async def results(self) -> list[abc.PGresult]:
        """Return one result for each statement that was flushed.

        Raise the first statement's error, after which the rest were skipped by the server.
        """
        await self._synced
        for result in self._results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise self._error(result)
        return self._results

    def rows(self, result: abc.PGresult) -> list[tuple[Any, ...]]:
        """Return a result's rows as Python values; what is empty costs nothing."""
        if not result.ntuples:
            return []
        transformer = Transformer(self._connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def close(self) -> None:
        """Close the connection; what was not answered stays in doubt."""
        self._lost = True
        with contextlib.suppress(psycopg.Error, OSError, ValueError):
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._wire.finish()

    def _write(self) -> None:
        try:
            unsent = self._wire.flush()
        except psycopg.OperationalError as failure:
            self._fail(failure)
            return
        if unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            self._wire.consume_input()
            self._collect()
        except psycopg.OperationalError as failure:
            self._fail(failure)

    def _collect(self) -> None:
        while not self._synced.done() and not self._wire.is_busy():
            result = self._wire.get_result()
            if result is None:
                if self._wire.status != pq.ConnStatus.OK:
                    self._fail(psycopg.OperationalError("the connection is lost"))
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._synced.set_result(None)
            else:
                self._results.append(result)

    def _fail(self, failure: psycopg.OperationalError) -> None:
        self._lost = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        if not self._synced.done():
            self._synced.set_exception(failure)

    def _error(self, result: abc.PGresult) -> psycopg.Error:
        if result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) in _ENDING:
            self._lost = True
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
        try:
            kind: type[psycopg.Error] = errors.lookup(sqlstate)
        except KeyError:
            kind = psycopg.OperationalError
        return kind(message)

"""Importing a file of payments: a pipeline from lines to batch calls to counts, in constant memory.

Invariant: what the progress file calls done was answered for good, counted and, if rejected, listed
durably. It follows from retiring chunks of lines in the file's order although their calls end in
any order. Everything behind that point may have been sent or not; idempotency keys make sending it
again harmless, so that a run may be killed anywhere and simply be started again.

Lines that share a key count in the file's order too: a chunk whose key is already on its way with
another body waits until that is settled.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from evertill.client.faults import FileChanged, RecordUnwritable, Stopped
from evertill.client.lines import Entry, Reader, read_lines
from evertill.client.payments_file import PaymentsFile
from evertill.client.record import Progress, ProgressFile, Reject, RejectsFile
from evertill.client.totals import Summary, Totals
from evertill.client.wire import BATCH_ITEMS_MAX, BODY_MAX_BYTES, CREATED, BatchResult
from evertill.domain.errors import EvertillError, InvalidRequest

CALLS_IN_FLIGHT_MAX: Final = 4
# One slow call may hold up this many chunks behind it before the others run dry.
CHUNKS_OUTSTANDING_MAX: Final = 3 * CALLS_IN_FLIGHT_MAX
# The envelope, and room to spare below the service's bound.
CHUNK_MAX_BYTES: Final = BODY_MAX_BYTES - 4 * 1024
CHUNK_LINES_MAX: Final = 2 * BATCH_ITEMS_MAX
SAVE_INTERVAL_S: Final = 0.5
SECONDS_MIN: Final = 1e-6
INTERRUPTED: Final = "The import was interrupted."


class BatchSender(Protocol):
    """Whatever takes batches: the client, or its stand-in in a test."""

    def send_batch(self, items: Sequence[bytes]) -> list[BatchResult]:
        """Take the payments and return their final results in order."""


class Chunk(msgspec.Struct):
    """Consecutive lines: those to send, those rejected here, and where they end in the file."""

    entries: list[Entry] = []
    rejects: list[Reject] = []
    size_bytes: int = 0
    end_offset: int = 0
    last_line: int = 0

    def is_full(self) -> bool:
        """Tell whether the chunk is to be sent before another line is added."""
        lines = len(self.entries) + len(self.rejects)
        return len(self.entries) >= BATCH_ITEMS_MAX or lines >= CHUNK_LINES_MAX


class Importer:
    """One run over one file; `offset` is where in the file it begins."""

    def __init__(
        self,
        payments: PaymentsFile,
        client: BatchSender,
        service: str,
        stop: threading.Event,
    ) -> None:
        """Prepare to send `payments` through `client`; `service` identifies where they go to.

        `stop` is set when the run ends early, so that the client's retries end as well. Raise
        FileChanged when an unfinished import of another content under this name exists.
        """
        self._payments = payments
        self._client = client
        self._stop = stop
        self._on_progress: Callable[[int, Totals], None] = lambda *_: None
        self._progress_file = ProgressFile(payments.path)
        self._progress = self._find_progress(service)
        self.offset = self._progress.offset
        is_resumed = self._progress.line > payments.lines_before
        self.resumed_after_line = self._progress.line if is_resumed else 0
        self._totals = self._progress.totals
        self._rejects = RejectsFile(payments.path, self._progress.rejects_bytes)
        self._outstanding: deque[tuple[Chunk, Future[list[BatchResult]]]] = deque()
        # The bodies on their way, by key, to keep lines that share a key in their order.
        self._bodies: dict[str, bytes] = {}
        self._began_s = time.monotonic()
        # The first chunk is recorded at once, so that a run killed early is recognised too.
        self._saved_s = -math.inf
        self._seconds_before = self._totals.seconds

    def run(self, on_progress: Callable[[int, Totals], None] = lambda *_: None) -> Summary:
        """Import what is left of the file and return the figures of the whole.

        `on_progress` hears the offset and the counts whenever more lines are done.

        Raise Stopped, Refused, OutcomeUnknown, ServiceUnreachable or RecordUnwritable when it ends
        early; what was done until then is recorded, and another run goes on from there.
        """
        self._on_progress = on_progress
        lines_before = self._totals.lines
        try:
            self._send_all()
        except RecordUnwritable:
            # The counts may be ahead of the rejects: the record on disk is the one to go on from.
            self._rejects.close(remove=False)
            raise
        except EvertillError as error:
            raise self._give_up(error) from error
        self._finish()
        seconds = time.monotonic() - self._began_s
        rejects_file = str(self._rejects.path) if self._totals.rejected else None
        return Summary(
            file=str(self._payments.path),
            totals=self._totals,
            rejects_file=rejects_file,
            resumed_after_line=self.resumed_after_line,
            payments_per_s=(self._totals.lines - lines_before) / max(seconds, SECONDS_MIN),
        )

    def _find_progress(self, service: str) -> Progress:
        payments = self._payments
        found = self._progress_file.load()
        if found is not None and found.digest != payments.digest:
            message = (
                f"{payments.path} has changed since its import stopped after line {found.line}. "
                "Restore it and run again; or, to import it as a new file, delete "
                f"{self._progress_file.path} first (lines without a reference are then paid anew)."
            )
            raise FileChanged(message)
        if found is not None and found.service == service:
            return found
        # Progress at another service says nothing about this one.
        start, line = payments.first_offset, payments.lines_before
        return Progress(
            digest=payments.digest,
            service=service,
            offset=start,
            line=line,
            rejects_bytes=0,
            totals=Totals(),
        )

    def _send_all(self) -> None:
        with ThreadPoolExecutor(CALLS_IN_FLIGHT_MAX, thread_name_prefix="import") as pool:
            try:
                for chunk in self._chunks():
                    self._submit(chunk, pool)
                self._retire_down_to(0)
            except BaseException:
                # Leaving the pool's block waits for its calls, and those retry until told.
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _give_up(self, error: EvertillError) -> EvertillError:
        """Record what was answered before the error, and return the error to report."""
        while self._outstanding:
            chunk, future = self._outstanding[0]
            if future.cancelled() or future.exception() is not None:
                break
            self._settle(chunk, future.result())
            self._outstanding.popleft()
        line = self._progress.line
        is_begun = line > self._payments.lines_before
        if is_begun:
            self._save()
        self._rejects.close(remove=not self._totals.rejected)
        if not is_begun:
            return error if not isinstance(error, Stopped) else Stopped(INTERRUPTED)
        reason = INTERRUPTED if isinstance(error, Stopped) else str(error)
        message = f"{reason} Lines up to {line} are done: run the same command again to go on."
        return Stopped(message, line=line)

    def _finish(self) -> None:
        self._rejects.sync()
        self._rejects.close(remove=not self._totals.rejected)
        self._progress_file.remove()
        self._payments.check_unchanged()

    def _chunks(self) -> Iterator[Chunk]:
        """Read on behind the progress, and yield chunks that are full or must not grow."""
        payments = self._payments
        reader = Reader(payments.parser, payments.digest)
        progress = self._progress
        chunk = Chunk()
        lines = read_lines(payments.stream, payments.size, progress.offset, progress.line)
        for line in lines:
            try:
                entry = reader.entry(line)
            except InvalidRequest as error:
                chunk.rejects.append(_reject(line.number, error))
            else:
                is_conflicting = self._bodies.get(entry.key, entry.encoded) != entry.encoded
                is_large = chunk.size_bytes + len(entry.encoded) > CHUNK_MAX_BYTES
                if chunk.last_line and (is_conflicting or is_large):
                    yield chunk
                    chunk = Chunk()
                if is_conflicting:
                    self._retire_down_to(0)
                chunk.entries.append(entry)
                chunk.size_bytes += len(entry.encoded) + 1
                self._bodies[entry.key] = entry.encoded
            chunk.end_offset, chunk.last_line = line.end_offset, line.number
            if chunk.is_full():
                yield chunk
                chunk = Chunk()
        if chunk.last_line:
            yield chunk

    def _submit(self, chunk: Chunk, pool: ThreadPoolExecutor) -> None:
        if self._stop.is_set():
            raise Stopped
        items = [entry.encoded for entry in chunk.entries]
        self._outstanding.append((chunk, pool.submit(self._client.send_batch, items)))
        self._retire_down_to(CHUNKS_OUTSTANDING_MAX)

    def _retire_down_to(self, count: int) -> None:
        """Settle the oldest chunks until `count` are left, and whatever else has come to its end.

        A chunk is taken off only when it was settled, so that an error leaves it undone.
        """
        while self._outstanding:
            chunk, future = self._outstanding[0]
            if len(self._outstanding) <= count and not future.done():
                return
            self._settle(chunk, future.result())
            self._outstanding.popleft()
        self._bodies.clear()

    def _settle(self, chunk: Chunk, results: list[BatchResult]) -> None:
        """Count a chunk whose calls have ended, list its rejects, and move the progress."""
        rejects = list(chunk.rejects)
        for entry, result in zip(chunk.entries, results, strict=True):
            if result.status == CREATED:
                self._totals.add_result(result)
            else:
                rejects.append(_refused(entry, result))
        rejects.sort(key=lambda reject: reject.line)
        for reject in rejects:
            self._totals.add_reject(reject.code)
        if rejects:
            self._rejects.append(rejects)
        self._totals.seconds = self._seconds_before + time.monotonic() - self._began_s
        self._progress = msgspec.structs.replace(
            self._progress,
            offset=chunk.end_offset,
            line=chunk.last_line,
            rejects_bytes=self._rejects.size_bytes,
        )
        for entry in chunk.entries:
            self._bodies.pop(entry.key, None)
        self._on_progress(chunk.end_offset, self._totals)
        if time.monotonic() - self._saved_s >= SAVE_INTERVAL_S:
            self._save()

    def _save(self) -> None:
        self._rejects.sync()
        self._progress_file.save(self._progress)
        self._saved_s = time.monotonic()


def _reject(line: int, error: InvalidRequest) -> Reject:
    field, reference = error.fields.get("field"), error.fields.get("reference")
    return Reject(line, _reason(error.code, field), str(error), str(reference or ""))


def _refused(entry: Entry, result: BatchResult) -> Reject:
    body = result.body
    code = _reason(body.code or f"http_{result.status}", body.field)
    return Reject(entry.line, code, body.detail, entry.reference)


def _reason(code: str, field: object) -> str:
    """Return a reject's code, which names the field where the service's does not."""
    return f"invalid_{field}" if code == InvalidRequest.code and field else code

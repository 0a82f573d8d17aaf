"""The group commit: payments that arrive while a commit is on its way make up the next one.

Nothing waits for a batch to fill: it forms by itself while the one before it is being made durable.
One connection per process carries one batch at a time; every caller is answered only after the
commit of its batch is durable, and the next batch is on its way before those answers are written.

A batch whose transaction fails as a whole goes back to the front of the queue when the failure may
pass (a lost connection, a deadlock), and is halved until the payment that causes it stands alone
when it will not. A commit whose answer was lost is not guessed at: its payments are claimed again
under the same keys and ids, and either found or taken anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

import psycopg

from evertill.domain.errors import (
    EvertillError,
    InternalError,
    KeyInFlight,
    NotTheWriter,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from evertill.domain.tempo import paced
from evertill.storage import batch as batches
from evertill.storage.database import TRANSIENT, Address, resolve
from evertill.storage.permits import Permit, Permits
from evertill.storage.pipeline import Pipeline
from evertill.storage.submissions import Answer, Outcome, Submission

BATCH_SIZE_MAX: Final = 1_000
# How often a process begins a batch of less than this size.
WORTHWHILE_SIZE: Final = 100
START_INTERVAL_S: Final = 0.012
QUEUE_SIZE_MAX: Final = 8_000
SWEEP_INTERVAL_S: Final = 0.05
RECONNECT_PAUSE_S: Final = 0.2
RETRY_PAUSE_S: Final = 0.02
# Longer than any statement of a batch may take on the server.
BATCH_TIMEOUT_S: Final = 8.0

# What the server says of a batch when one payment in it is at fault, or when the batch needs more
# locks than the server has (max_locks_per_transaction): a smaller batch may pass.
REFUSED: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.InternalError,
    psycopg.errors.OutOfMemory,
)

log = logging.getLogger(__name__)


class Committer:
    """Commits submissions in groups, on one connection that is its own."""

    def __init__(
        self,
        address: Address,
        permits: Permits,
        observe: Callable[[int, float], None] = lambda *_: None,
        speed: float = 1.0,
    ) -> None:
        """Commit to the database at `address` while `permits` allow it.

        `observe` is told each batch's size and seconds. With `speed` 10 a lost database is looked
        for ten times as often.
        """
        self._speed = speed
        self._address = address
        self._observe = observe
        self._permits = permits
        self._pipeline: Pipeline | None = None
        self._is_away = True
        self._queue: deque[Submission] = deque()
        self._in_flight: dict[bytes, Submission] = {}
        self._untold: list[tuple[Submission, Outcome]] = []
        self._work = asyncio.Event()
        self._sweepable = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._next_start_s = 0.0
        self._stopping = False

    @property
    def queued(self) -> int:
        """The number of payments that wait for a batch."""
        return len(self._queue)

    def check_room(self, submissions: int) -> None:
        """Raise Overloaded without room for this many more, NotTheWriter where all is in vain.

        A standby's writer endpoint does not answer at all, and nobody shall wait for it. While the
        database does answer it is asked, for it knows what was answered under a key before.
        """
        if self._is_in_vain():
            raise NotTheWriter
        if self._stopping or len(self._queue) + submissions > QUEUE_SIZE_MAX:
            raise Overloaded

    def submit(self, submission: Submission) -> None:
        """Queue one payment; its outcome is KeyInFlight at once when its key is at work here."""
        if submission.key_digest in self._in_flight:
            submission.finish(KeyInFlight())
            return
        self._in_flight[submission.key_digest] = submission
        self._sweepable.set()
        self._queue.append(submission)
        self._work.set()

    async def run(self) -> None:
        """Commit until `stop` was called and the queue is empty."""
        sweeper = asyncio.create_task(self._sweep())
        try:
            while not self._stopping or self._queue:
                self._work.clear()
                if self._queue or await self._work.wait():
                    await self._pace()
                    await self._commit_next()
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            self._disconnect()

    def stop(self) -> None:
        """Take no more; `run` ends once what is queued is committed."""
        self._stopping = True
        self._work.set()

    async def _pace(self) -> None:
        """Begin small batches no faster than they are worth; the first after a rest begins at once.

        A batch has a cost of its own. Under half load, batches as fast as they can be would be so
        small that this cost alone fills the machine, and everybody waits for the processor.
        """
        pause_s = self._next_start_s - self._loop.time()
        if pause_s > 0 and len(self._queue) < WORTHWHILE_SIZE and not self._stopping:
            await asyncio.sleep(pause_s)
        self._next_start_s = self._loop.time() + START_INTERVAL_S

    async def _commit_next(self) -> None:
        batch = self._take()
        started_s = self._loop.time()
        try:
            if batch:
                await self._commit(batch)
                self._observe(len(batch), self._loop.time() - started_s)
        except psycopg.Error as failure:
            self._tell()
            await self._recover(batch, failure)
        except Exception:
            # A mistake of ours must not end the only loop that commits.
            log.exception("a batch failed")
            self._tell()
            self._disconnect()
            _fail(batch, InternalError)
        await self._put_back(batch)
        if not self._queue:
            self._tell()

    def _take(self) -> list[Submission]:
        """Take what is queued, up to a batch, leaving out what the deadline has ended."""
        batch: list[Submission] = []
        while self._queue and len(batch) < BATCH_SIZE_MAX:
            submission = self._queue.popleft()
            if submission.outcome is None:
                batch.append(submission)
            else:
                self._forget(submission)
        return batch

    async def _commit(self, batch: list[Submission]) -> None:
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_S):
                await self._commit_on(await self._connected(), batch, self._permits())
        except psycopg.errors.ReadOnlySqlTransaction:
            # An InternalError to psycopg, but the same answer to every payment: no halves.
            raise
        except REFUSED as failure:
            await self._roll_back()
            await self._commit_halves(batch, failure)
        except TimeoutError:
            self._disconnect()
            raise psycopg.OperationalError("the database does not answer") from None

    async def _commit_on(self, pipeline: Pipeline, batch: list[Submission], permit: Permit) -> None:
        # The batch before this one is told now: the server is at work meanwhile.
        claimed = await batches.claim(pipeline, batch, meanwhile=self._tell)
        decisions = batches.decide_batch(batch, claimed)
        if decisions.decided:
            await self._record(pipeline, claimed.at, decisions.decided, permit)
        else:
            await self._roll_back()
        # A commit may have been held up for so long that another region writes by now.
        is_late = permit.remaining_s() <= 0
        answers = [
            (row.submission, OutcomeUnknown() if is_late else Answer(row.answer, replayed=False))
            for row in decisions.decided
        ]
        for submission, outcome in (*answers, *decisions.outcomes):
            submission.settled = True
            self._untold.append((submission, outcome))

    async def _record(
        self, pipeline: Pipeline, at: datetime, decided: list[batches.Decided], permit: Permit
    ) -> None:
        doubtful = [row.submission for row in decided if row.submission.maybe_committed]
        _mark([row.submission for row in decided], maybe_committed=True)
        try:
            await batches.record(pipeline, at, decided, permit)
        except psycopg.Error:
            # The server's own refusal is definite, but says nothing of an earlier try that was
            # lost; a lost connection leaves all in doubt.
            if not pipeline.lost:
                _mark([row.submission for row in decided], maybe_committed=False)
                _mark(doubtful, maybe_committed=True)
            raise

    def _tell(self) -> None:
        """Tell the callers of the last batch, now that its locks are free and its keys as well."""
        untold, self._untold = self._untold, []
        in_flight = self._in_flight
        for submission, _ in untold:
            # As in `_forget`, for each of a whole batch.
            if in_flight.get(submission.key_digest) is submission:
                del in_flight[submission.key_digest]
        for submission, outcome in untold:
            submission.finish(outcome)

    def _forget(self, submission: Submission) -> None:
        """Let its key be used again, unless a newer request is already at work under it."""
        if self._in_flight.get(submission.key_digest) is submission:
            del self._in_flight[submission.key_digest]

    async def _commit_halves(self, batch: list[Submission], failure: psycopg.Error) -> None:
        """Isolate the payment that the database refuses; its neighbours are not to blame."""
        batch = [s for s in batch if s.outcome is None and not s.settled]
        if len(batch) == 1:
            log.error("a payment was refused by the database", exc_info=failure)
            _fail(batch, InternalError)
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            if half:
                await self._commit(half)

    async def _recover(self, batch: list[Submission], failure: psycopg.Error) -> None:
        log.warning("a batch will be tried again", exc_info=failure)
        if isinstance(failure, psycopg.errors.ReadOnlySqlTransaction):
            _fail(batch, NotTheWriter)
        try:
            if not isinstance(failure, TRANSIENT):
                self._disconnect()
            await self._roll_back()
        except (psycopg.Error, TimeoutError):
            self._disconnect()
        if self._is_in_vain():
            _fail(batch, NotTheWriter)

    def _is_in_vain(self) -> bool:
        """Tell whether there is neither leave to write nor a database that could be asked."""
        return self._is_away and self._permits().remaining_s() <= 0

    async def _roll_back(self) -> None:
        if self._pipeline is not None:
            self._pipeline.send("rollback")
            async with asyncio.timeout(BATCH_TIMEOUT_S):
                await self._pipeline.sync()

    async def _put_back(self, batch: list[Submission]) -> None:
        """Forget what was told; what has no outcome is claimed again, before anything newer."""
        undecided = []
        for submission in batch:
            if submission.outcome is not None:
                self._forget(submission)
            elif not submission.settled:
                undecided.append(submission)
        self._queue.extendleft(reversed(undecided))
        if undecided and len(undecided) == len(batch):
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _connected(self) -> Pipeline:
        if self._pipeline is not None and self._pipeline.lost:
            self._disconnect()
        if self._pipeline is None:
            # Until it is connected: an attempt may also end by somebody else's patience.
            self._is_away = True
            try:
                self._pipeline = await Pipeline.connect(
                    await resolve(self._address), batches.HOT_STATEMENTS
                )
                self._is_away = False
            except psycopg.Error:
                await asyncio.sleep(paced(RECONNECT_PAUSE_S, self._speed))
                raise
        return self._pipeline

    def _disconnect(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    async def _sweep(self) -> None:
        """End what has passed its deadline: one timer for all, instead of one for each."""
        while True:
            if not self._in_flight:
                self._sweepable.clear()
                await self._sweepable.wait()
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now_s = self._loop.time()
            for submission in list(self._in_flight.values()):
                if submission.deadline_s <= now_s:
                    unknown = submission.maybe_committed
                    submission.finish(OutcomeUnknown() if unknown else Unavailable())


def _mark(submissions: list[Submission], *, maybe_committed: bool) -> None:
    for submission in submissions:
        submission.maybe_committed = maybe_committed


def _fail(batch: list[Submission], error: type[EvertillError]) -> None:
    for submission in batch:
        if not submission.settled:
            submission.finish(OutcomeUnknown() if submission.maybe_committed else error())

"""What clients asked and were answered, on disk before it is sent and after it is answered.

What a platform did to payments can only be judged by somebody who remembers. The file is written
ahead: a request stands in it, durably, before its first byte is sent, and an answer before anybody
counts on it. So whoever reads it after a crash of this very program misses nothing that was sent.
Times are seconds since the file's beginning; `Begun.began_at` says when that was.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from evertill.drill.errors import HistoryUnwritable

OK: Final = "ok"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"
Outcome = Literal["ok", "failed", "unknown"]
# Lines that one fsync makes durable together, at most.
LINES_PER_SYNC_MAX: Final = 4_096

# Lines, and who waits until they are durable.
Waiting = tuple[bytes, asyncio.Future[None]]


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The file's first line: the run, its seed, and the moment (Unix time) that counts as 0."""

    run: str
    seed: int
    began_at: float


class Request(msgspec.Struct, frozen=True, tag="request"):
    """What a client wants, under one key; `operation` and `target` are the key's scope.

    `due_s` is when it wanted it, whether or not anything was sent then.
    """

    number: int
    due_s: float
    observer: str
    operation: str
    target: str
    key: str
    body: str

    @property
    def path(self) -> str:
        """The address that it is sent to."""
        if self.operation == "create":
            return "/v1/payments"
        return f"/v1/payments/{self.target}/{self.operation}"


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """A try is about to be sent, to an address in a region."""

    number: int
    attempt: int
    sent_s: float
    region: str
    address: str


class Ended(msgspec.Struct, frozen=True, tag="ended", omit_defaults=True):
    """How a try ended; `status` is 0 where there was no answer, and `code` then says why.

    `took_s` leaves out how long the history itself took to be durable before the try was sent.
    """

    number: int
    attempt: int
    ended_s: float
    outcome: Outcome
    status: int = 0
    code: str = ""
    answer: str = ""
    is_replayed: bool = False
    took_s: float = 0.0


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """A request is over: taken, certainly not taken, or unknown when patience ended."""

    number: int
    closed_s: float
    outcome: Outcome


class HeldBack(msgspec.Struct, frozen=True, tag="held_back"):
    """A payment was wanted while as many as are allowed were in flight; it was never sent."""

    due_s: float
    observer: str


Line = Begun | Request | Sent | Ended | Closed | HeldBack
_lines: Final = msgspec.json.Decoder(Line)
_encode: Final = msgspec.json.Encoder().encode


class Attempt:
    """One try: when and where it was sent, and how it ended, None while that is open."""

    __slots__ = ("ended", "sent")

    def __init__(self, sent: Sent) -> None:
        """Begin with what was sent."""
        self.sent = sent
        self.ended: Ended | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended; a try without an end is unknown."""
        return self.ended.outcome if self.ended is not None else UNKNOWN


class Story:
    """A request with its tries, and how it was closed, None when it never was."""

    __slots__ = ("attempts", "closed", "request")

    def __init__(self, request: Request) -> None:
        """Begin with what was wanted."""
        self.request = request
        self.attempts: list[Attempt] = []
        self.closed: Closed | None = None

    @property
    def acknowledged(self) -> Ended | None:
        """The first answer that said yes."""
        answers = (attempt.ended for attempt in self.attempts if attempt.ended is not None)
        return next((answer for answer in answers if answer.outcome == OK), None)

    @property
    def is_open(self) -> bool:
        """Whether it may have been done without anybody having been told."""
        return any(attempt.outcome == UNKNOWN for attempt in self.attempts)


class History(msgspec.Struct):
    """All that a history file tells."""

    begun: Begun
    stories: dict[int, Story]
    held_back: list[HeldBack]

    @property
    def attempts(self) -> list[tuple[Request, Attempt]]:
        """Every try with what it was for, in the order of sending."""
        every = [(s.request, a) for s in self.stories.values() for a in s.attempts]
        return sorted(every, key=lambda pair: pair[1].sent.sent_s)


class HistoryFile:
    """The file while it is written: many writers, one fsync for all that wait."""

    def __init__(self, path: Path, begun: Begun) -> None:
        """Begin the file at `path`, which must not be there; raise HistoryUnwritable."""
        self.path = path
        self.begun = begun
        self._zero_s = time.monotonic()
        self._waiting: list[Waiting] = []
        self._wanted = asyncio.Event()
        try:
            self._stream = path.open("xb")
        except OSError as failure:
            message = f"The history {path} cannot be begun: {failure.strerror}."
            raise HistoryUnwritable(message) from failure
        self._write([_encode(begun)])

    def now_s(self) -> float:
        """Return the seconds since the beginning; no clock that is set can move them."""
        return time.monotonic() - self._zero_s

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Take lines meanwhile; all of them are durable afterwards."""
        task = asyncio.create_task(self._sync_for_ever())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._sync([*self._waiting])
            self._stream.close()

    async def note(self, *lines: Line) -> None:
        """Return when `lines` are durable; raise HistoryUnwritable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((b"\n".join(_encode(line) for line in lines), done))
        self._wanted.set()
        await done

    async def _sync_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            batch = self._waiting[:LINES_PER_SYNC_MAX]
            del self._waiting[: len(batch)]
            if not self._waiting:
                self._wanted.clear()
            # A thread, so that answers which come meanwhile are timed when they come.
            writing = asyncio.to_thread(self._write, [line for line, _ in batch])
            failure = (await asyncio.gather(writing, return_exceptions=True))[0]
            _resolve(batch, failure)

    def _sync(self, batch: Sequence[Waiting]) -> None:
        self._write([line for line, _ in batch])
        _resolve(batch, None)

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            self._stream.write(b"\n".join([*lines, b""]))
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as failure:
            message = f"The history {self.path} cannot be written: {failure.strerror}."
            raise HistoryUnwritable(message) from failure


def _resolve(batch: Sequence[Waiting], failure: BaseException | None) -> None:
    for _, future in batch:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def begin(path: Path, run: str, seed: int) -> HistoryFile:
    """Begin a history now; raise HistoryUnwritable."""
    return HistoryFile(path, Begun(run, seed, time.time()))


def read_history(path: Path) -> History:
    """Read a file back, up to a last line that a crash cut short."""
    lines = path.read_bytes().split(b"\n")
    first = _lines.decode(lines[0])
    if not isinstance(first, Begun):
        message = f"{path} is no history of a drill."
        raise HistoryUnwritable(message)
    history = History(first, {}, [])
    # What follows the last line feed was cut short, or is empty.
    for text in lines[1:-1]:
        _add(history, _lines.decode(text))
    return history


def _add(history: History, line: Line) -> None:
    match line:
        case Request():
            history.stories[line.number] = Story(line)
        case Sent():
            history.stories[line.number].attempts.append(Attempt(line))
        case Ended():
            history.stories[line.number].attempts[line.attempt - 1].ended = line
        case Closed():
            history.stories[line.number].closed = line
        case HeldBack():
            history.held_back.append(line)
        case Begun():
            pass

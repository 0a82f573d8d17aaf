"""The parent of the worker processes: starts them, starts them again, and ends them.

It is a process of its own so that a worker's death costs one worker. It holds the listening socket,
so that connections wait in the kernel while workers come and go, and it serves nothing itself: what
it does is little enough never to fail. `evertill serve` is this and nothing else; `evertill up` has
it beside PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from prometheus_client.multiprocess import mark_process_dead

from evertill.service.listening import listen
from evertill.service.logs import LogStream, now
from evertill.service.metrics import FOLDER_VARIABLE
from evertill.service.settings import Settings
from evertill.service.signals import Signals

# A worker waits twice for as long as app.DRAIN_TIMEOUT_S; ECS kills after 30 s.
DRAIN_TIMEOUT_S: Final = 25.0
# A worker that lived for this long is started again at once.
STEADY_AFTER_S: Final = 5.0
BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
TEND_INTERVAL_S: Final = 1.0
LOGGER: Final = "evertill.service.supervisor"
STARTED: Final = "a worker started"
# What the parent may know and a worker need not.
WITHHELD: Final = ("EVERTILL_ADMIN_DATABASE_URL",)
STANDARD_ERROR: Final = 2


def _silent(_: str) -> None:
    """Take a sentence and show it nowhere."""


class _Place:
    """One worker's place: who fills it, since when, and when to fill it anew."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.since_s = 0.0
        self.due_s = 0.0
        self.early_ends = 0

    def vacate(self, now_s: float) -> None:
        """Note that the worker ended; those that keep dying young wait longer and longer."""
        self.process = None
        is_young = now_s - self.since_s < STEADY_AFTER_S
        self.early_ends = self.early_ends + 1 if is_young else 0
        waits_s = BACKOFF_MIN_S * 2.0 ** (self.early_ends - 1) if is_young else 0.0
        self.due_s = now_s + min(waits_s, BACKOFF_MAX_S)


class Supervisor:
    """The workers of one service on one listening socket.

    `output` is the file descriptor for their logs and ours; `say` gets a sentence for a person
    about each worker that ended. Call `tend` at least as often as it asks for.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        output: int = STANDARD_ERROR,
        say: Callable[[str], None] = _silent,
    ) -> None:
        """Remember what to run; nothing is started before it is entered."""
        self._settings = settings
        self._listener = listener
        self._output = output
        self._log = LogStream(output)
        self._say = say
        self._places = [_Place(number) for number in range(settings.workers)]
        self._figures: Path | None = None

    def __enter__(self) -> Self:
        """Start the workers."""
        self._figures = Path(tempfile.mkdtemp(prefix="evertill-metrics-"))
        self.tend()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers that are left."""
        self.stop()

    @property
    def early_ends(self) -> int:
        """How often in a row the least lucky worker ended soon after its start."""
        return max(place.early_ends for place in self._places)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [place.process.pid for place in self._places if place.process is not None]

    def tend(self) -> float:
        """Notice workers that ended and start those that are due; return when to come again."""
        for place in self._places:
            if place.process is not None and place.process.poll() is not None:
                self._note_end(place, place.process)
            if place.process is None and place.due_s <= time.monotonic():
                self._fill(place)
        waits_s = [place.due_s - time.monotonic() for place in self._places if not place.process]
        return max(0.0, min([TEND_INTERVAL_S, *waits_s]))

    def stop(self) -> bool:
        """Let the workers finish what they have, kill those that take too long; tell if none did.

        The socket is closed first: from then on clients are refused instead of kept waiting.
        """
        self._listener.close()
        workers = [place.process for place in self._places if place.process is not None]
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
        stuck = [worker for worker in workers if not _ended_by(worker, deadline_s)]
        for worker in stuck:
            self._write("error", "a worker did not drain in time and was killed", pid=worker.pid)
            worker.kill()
            worker.wait()
        for place in self._places:
            place.process = None
        if self._figures is not None:
            shutil.rmtree(self._figures, ignore_errors=True)
            self._figures = None
        return not stuck

    def _fill(self, place: _Place) -> None:
        place.since_s = time.monotonic()
        try:
            place.process = worker = self._start()
        except OSError as error:
            # No memory or no process left at the moment: the next attempt may find some.
            self._write("error", f"a worker cannot start: {error.strerror}", worker=place.number)
            place.vacate(time.monotonic())
            return
        self._write("info", STARTED, worker=place.number, pid=worker.pid)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in WITHHELD}
        descriptor = self._listener.fileno()
        program = [sys.executable, "-P", "-m", "evertill.service.worker"]
        return subprocess.Popen(
            [
                *program,
                *("--descriptor", str(descriptor)),
                *("--parent", str(os.getpid())),
            ],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=environment | self._settings.environment() | {FOLDER_VARIABLE: str(self._figures)},
            # In a group of its own, a terminal's Ctrl-C reaches it through us alone, in order.
            process_group=0,
        )

    def _note_end(self, place: _Place, worker: subprocess.Popen[bytes]) -> None:
        status = worker.returncode
        reason = f"signal {-status}" if status < 0 else f"exit status {status}"
        with contextlib.suppress(OSError):
            mark_process_dead(  # type: ignore[no-untyped-call]  # Its parameters have no types.
                worker.pid, str(self._figures)
            )
        place.vacate(time.monotonic())
        self._write("error", f"a worker ended: {reason}", worker=place.number, pid=worker.pid)
        self._say(f"A worker ended ({reason}); another takes its place.")

    def _write(self, level: str, message: str, **fields: int) -> None:
        # A full disk may take our log, and must not take the service with it.
        with contextlib.suppress(OSError):
            entry = {"at": now(), "level": level, "logger": LOGGER, "message": message}
            self._log.write({**entry, **fields})
            self._log.flush()


def run(settings: Settings) -> int:
    """Serve until told to stop; return 0 when every request in hand was finished."""
    with (
        listen(settings.host, settings.port) as listener,
        Signals() as signals,
        Supervisor(settings, listener) as supervisor,
    ):
        while not signals.stopping:
            signals.wait(supervisor.tend())
        return 0 if supervisor.stop() else 1


def _ended_by(worker: subprocess.Popen[bytes], deadline_s: float) -> bool:
    """Wait for a worker until `deadline_s`; tell whether it ended."""
    try:
        worker.wait(max(0.0, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True

"""Processes that never outlive the twin unnoticed.

Each is written down, by pid and start time, before its program begins: it waits on a pipe until
that is done, and ends with the pipe when the twin dies first. So whatever a killed twin left is in
the record, and the next start ends it. A pid whose start time differs is somebody else's by now
and is left alone; names are never looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from evertill.quickstart.account import Identity
from evertill.twin.errors import PartFailed

# `read` fails at the end of the pipe, which is the death of who holds its other end.
WAIT_TO_BE_WRITTEN_DOWN: Final = 'read -r go && exec "$@" </dev/null'
KILL_TIMEOUT_S: Final = 10.0
SPAWN_TIMEOUT_S: Final = 20.0


class Known(msgspec.Struct, frozen=True):
    """A process as it is written down."""

    pid: int
    started_s: float
    name: str


class Owned:
    """A process of ours. Its tree is what it started, however far it went away from its group."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        """Own `process`, which is our child: only a parent may tell a zombie from a reused pid."""
        self.name: Final = name
        self.pid: Final = process.pid
        self._process = process

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended; one that is frozen runs."""
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """Return the exit status, negative for a signal, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Return the exit status when it has ended."""
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; one that has ended gets none."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop the whole tree as it is (SIGSTOP): it keeps its memory, sockets and locks."""
        self._send_tree(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen tree go on."""
        self._send_tree(signal.SIGCONT)

    async def kill(self) -> None:
        """End the whole tree at once (SIGKILL) and wait until the process is gone."""
        # Stopped first, so that nothing is started between the look at the tree and its end.
        for process in self._send_tree(signal.SIGSTOP):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        async with asyncio.timeout(KILL_TIMEOUT_S):
            await self.wait()

    async def stop(self, timeout_s: float, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, kill its tree when it has not done so in time; return the exit status."""
        self.send(by)
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which swallows a cancellation that meets the end it waits for.
            async with asyncio.timeout(timeout_s):
                return await self.wait()
        await self.kill()
        return await self.wait()

    def tree(self) -> list[psutil.Process]:
        """Return the process and all that it started and that still run."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        return []

    def _send_tree(self, number: signal.Signals) -> list[psutil.Process]:
        tree = self.tree() if self.is_running else []
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return tree


class Processes:
    """Starts processes and keeps the record of them."""

    def __init__(self, record: Path) -> None:
        """Write down into `record`, which `sweep` must have been called with before."""
        self._record = record
        self._owned: list[Owned] = []

    async def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path | None = None,
        identity: Identity | None = None,
    ) -> Owned:
        """Run `command` with its output in `log`; raise PartFailed when there is no such program.

        `identity` is the user to run it as, where that is not ours.
        """
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                WAIT_TO_BE_WRITTEN_DOWN,
                "sh",
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
                **(identity or {}),
            )
        owned = Owned(name, process)
        # Before it is let go: it is ended with the others if nobody waits for this any more.
        self._owned = [*self.running(), owned]
        try:
            self._write_down(owned)
            await self._let_go(process)
        except (OSError, psutil.NoSuchProcess) as failure:
            await owned.kill()
            message = f"{name} did not start: {failure}."
            raise PartFailed(message) from failure
        return owned

    def running(self) -> Iterator[Owned]:
        """Give each process that has not ended."""
        return (owned for owned in self._owned if owned.is_running)

    async def end_all(self) -> None:
        """Kill whatever still runs: the last resort, after every part was told to stop."""
        for owned in list(self.running()):
            await owned.kill()
        self._record.unlink(missing_ok=True)

    def _write_down(self, owned: Owned) -> None:
        known = Known(owned.pid, psutil.Process(owned.pid).create_time(), owned.name)
        with self._record.open("ab") as record:
            record.write(msgspec.json.encode(known) + b"\n")

    @staticmethod
    async def _let_go(process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:  # It is a pipe, as `start` asked.
            process.stdin.write(b"go\n")
            async with asyncio.timeout(SPAWN_TIMEOUT_S):
                await process.stdin.drain()
            process.stdin.close()


def sweep(record: Path) -> list[str]:
    """End what an earlier twin left running, by its record; return the names of what was ended."""
    ended: list[str] = []
    for known in _read(record):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(known.pid)
            if process.create_time() == known.started_s:
                _end_tree(process)
                ended.append(known.name)
    record.unlink(missing_ok=True)
    return ended


def _end_tree(root: psutil.Process) -> None:
    tree = [root, *root.children(recursive=True)]
    for process in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(tree, timeout=KILL_TIMEOUT_S)


def _read(record: Path) -> Iterator[Known]:
    if not record.exists():
        return
    for line in record.read_bytes().splitlines():
        # The last line is cut short when the machine went down while it was written.
        with contextlib.suppress(msgspec.DecodeError):
            yield msgspec.json.decode(line, type=Known)


def inherited(*names: str) -> dict[str, str]:
    """Return what a process needs of our own environment, and the variables named."""
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", *names)
    return {name: os.environ[name] for name in kept if name in os.environ}

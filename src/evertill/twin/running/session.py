"""One run of the twin in a folder: alone there, on addresses of its own, until told to stop.

It is separate from the twin, which knows neither where its data lies nor how a user stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from evertill.twin.addresses import Site
from evertill.twin.control.server import Control
from evertill.twin.errors import TwinError
from evertill.twin.plan.plan import plan_of
from evertill.twin.processes import sweep
from evertill.twin.running.databases import FOLDER as DATABASES
from evertill.twin.running.ground import NOTHING, RECORD, Ground, Wanted
from evertill.twin.running.twin import Say, Twin

LOCK: Final = "lock"
# Marks a folder of a twin whose databases are gone with it.
IN_MEMORY: Final = "in-memory"
# The servers run as another user where root starts the twin.
FOLDER_MODE: Final = 0o755
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class TwinRuns(TwinError):
    """A twin runs on this folder already. Stop it first."""

    code = "twin_runs"


class DataOnDisk(TwinError):
    """A twin with small disks keeps nothing, and there is data here. Give it another folder."""

    code = "data_on_disk"


@contextlib.asynccontextmanager
async def running(
    path: Path,
    folder: Path,
    *,
    say: Say,
    speed: float = 1.0,
    count_max: int | None = None,
    allows_unsupported: bool = False,
    wanted: Wanted = NOTHING,
) -> AsyncIterator[Twin]:
    """Run the assembly at `path` with its data in `folder`; raise a TwinError if it cannot be.

    The folder is an absolute path: processes run in folders of their own. With small
    disks nothing of the run is kept, because the databases are in memory.
    """
    with _alone(folder), Site() as site:
        for name in sweep(folder / RECORD):
            say(f"Ended what an earlier twin left running: {name}.")
        _forget_what_was_in_memory(folder)
        if wanted.disk_mb:
            _be_in_memory(folder)
        plan = plan_of(
            path, site=site.number, count_max=count_max, allows_unsupported=allows_unsupported
        )
        twin = Twin(Ground(plan, folder, speed, wanted))
        await twin.start(say)
        control = Control(twin)
        try:
            await control.start()
            twin.control_url = control.url
            yield twin
        finally:
            await control.stop()
            await twin.stop()


class Stopping:
    """The user's wish to stop, by a signal, from the first moment on.

    Whoever waits for a start is cancelled by it, and undoes what was started; later it is awaited.
    However often it is told, it is one wish: an end that is under way goes on in good order.
    """

    def __init__(self) -> None:
        """Listen for the signals, on behalf of the task that runs now."""
        self._told: Final = asyncio.Event()
        self._starting: asyncio.Task[object] | None = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._tell)

    @property
    def is_told(self) -> bool:
        """Tell whether it was wished."""
        return self._told.is_set()

    async def wait(self) -> None:
        """Wait for the wish, once everything is started."""
        self._starting = None
        await self._told.wait()

    def _tell(self) -> None:
        if self._starting is not None and not self.is_told:
            self._starting.cancel()
        self._told.set()


def _forget_what_was_in_memory(folder: Path) -> None:
    """Remove what a twin left that kept its databases in memory: the rest fits nothing now."""
    if not (folder / IN_MEMORY).exists():
        return
    for path in folder.iterdir():
        if path.name not in {LOCK, IN_MEMORY}:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (folder / IN_MEMORY).unlink()


def _be_in_memory(folder: Path) -> None:
    if (folder / DATABASES).exists():
        raise DataOnDisk
    (folder / IN_MEMORY).touch()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TwinRuns from None
        yield

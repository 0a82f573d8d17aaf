"""The disk of a database instance, which is small where it is to be filled as a fault.

A disk of the machine is never filled: others work there. So a twin that is started with small disks
keeps each instance's data in a file system in memory of so many megabytes, in a user namespace,
which takes no right that an ordinary user lacks; filling it gives the server a real ENOSPC and
nobody else (ADR 0056). Where that cannot be, the data lies in a folder like any other, and the
disk says why it cannot be filled. It is separate from the instance, which only asks where to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from evertill.quickstart.account import Account
from evertill.twin.errors import PartFailed, TwinError
from evertill.twin.processes import Owned, Processes, inherited

HOLDER: Final = Path(__file__).with_name("small_disk_holder.py")
BALLAST: Final = "ballast"
START_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.01
# A server deletes old files now and then; what it gains is taken from it so soon.
REFILL_INTERVAL_S: Final = 0.1


# Of the whole, what the log may take between two checkpoints, and for those who are behind.
WAL_SHARE: Final = 0.25
KEPT_SHARE: Final = 0.125


class CannotFill(TwinError):
    """The twin was not started with small disks, and a disk of this machine is never filled."""

    code = "not_run"


class SmallDisk:
    """The disk of one instance: small if `size_mb` says so, the folder's own with 0."""

    def __init__(
        self, name: str, folder: Path, size_mb: int, account: Account, processes: Processes
    ) -> None:
        """Be mounted on `folder`, which the servers' user owns, or be just that."""
        self._name: Final = name
        # Also where it is in the words of the kernel, such as of a process's directory.
        self.folder: Final = folder
        self._size_mb: Final = size_mb
        self._account: Final = account
        self._processes: Final = processes
        self._holder: Owned | None = None
        self._refilling: asyncio.Task[None] | None = None
        self._why_not = ""

    @property
    def path(self) -> Path:
        """Return where it is, which is another place after each start."""
        if self._holder is None:
            return self.folder
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    @property
    def is_small(self) -> bool:
        """Tell whether it can be filled."""
        return self._holder is not None

    @property
    def is_full(self) -> bool:
        """Tell whether it is kept full."""
        return self._refilling is not None

    async def start(self) -> None:
        """Mount it, where it is to be small; note why that is not possible here."""
        if not self._size_mb or self._holder is not None:
            return
        try:
            self._holder = await self._mounted()
        except (PartFailed, OSError, TimeoutError) as failure:
            self._why_not = f"There can be no small disk on this machine: {failure}"

    async def stop(self) -> None:
        """Give it up, with what is on it."""
        await self.empty()
        holder, self._holder = self._holder, None
        if holder is not None:
            await holder.kill()

    async def fill(self) -> None:
        """Leave nothing free on it from now on; raise CannotFill."""
        if not self.is_small:
            raise CannotFill(self._why_not or None)
        if self._refilling is None:
            await asyncio.to_thread(self._take_the_rest)
            self._refilling = asyncio.create_task(self._refill())

    async def empty(self) -> None:
        """Give back what `fill` took."""
        task, self._refilling = self._refilling, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            (self.path / BALLAST).unlink(missing_ok=True)

    def _take_the_rest(self) -> None:
        path = self.path / BALLAST
        with path.open("ab") as ballast:
            state = os.statvfs(path)
            free_bytes = state.f_bavail * state.f_frsize
            if free_bytes:
                # Somebody may have taken it meanwhile: then there is as little free.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(ballast.fileno(), ballast.tell(), free_bytes)

    async def _refill(self) -> None:
        while True:
            await asyncio.sleep(REFILL_INTERVAL_S)
            self._take_the_rest()

    async def _mounted(self) -> Owned:
        if sys.platform != "linux":
            raise PartFailed("only Linux has user namespaces.")
        account = self._account
        log = self.folder.with_name(f"{self.folder.name}.disk.log")
        log.unlink(missing_ok=True)
        holder = await self._processes.start(
            f"{self._name} disk",
            [
                *(sys.executable, "-I", str(HOLDER)),
                *(str(self.folder), str(self._size_mb), str(account.uid), str(account.gid)),
            ],
            environment=inherited(),
            log=log,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await _until(holder, lambda: _has_left(holder.pid))
                self._map(holder.pid)
                await _until(holder, lambda: self._is_mounted(holder.pid))
        except BaseException:
            await holder.kill()
            reason = log.read_text(errors="replace").strip()
            if reason:
                raise PartFailed(f"{reason}.") from None
            raise
        return holder

    def _map(self, pid: int) -> None:
        """Let the namespace know the servers' user, and root where it is root who writes there."""
        process, account = Path(f"/proc/{pid}"), self._account
        if not account.dropped:
            # Else an ordinary user may not map a group.
            (process / "setgroups").write_text("deny")
        for name, own in (("uid_map", account.uid), ("gid_map", account.gid)):
            others = "1 0 1\n" if account.dropped else ""
            (process / name).write_text(f"0 {own} 1\n{others}")

    def _is_mounted(self, pid: int) -> bool:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        return any(
            " - tmpfs " in line and line.split()[4] == _escaped(self.folder) for line in lines
        )


def settings(size_mb: int) -> dict[str, str]:
    """Return the server settings with which a log fits on a disk of so many megabytes."""
    if not size_mb:
        return {}
    return {
        "max_wal_size": f"{int(size_mb * WAL_SHARE)}MB",
        "min_wal_size": "32MB",
        "wal_keep_size": f"{int(size_mb * KEPT_SHARE)}MB",
    }


async def _until(holder: Owned, condition: Callable[[], bool]) -> None:
    while not condition():
        if not holder.is_running:
            raise PartFailed("the process that holds it has ended.")
        await asyncio.sleep(POLL_S)


def _has_left(pid: int) -> bool:
    """Tell whether a process is in a user namespace of its own."""
    return Path(f"/proc/{pid}/ns/user").stat().st_ino != Path("/proc/self/ns/user").stat().st_ino


def _escaped(path: Path) -> str:
    """Return a path as mountinfo writes it."""
    return str(path).replace("\\", "\\134").replace(" ", "\\040")

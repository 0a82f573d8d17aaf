"""A third zone's copy of the log: what Aurora's storage does where it has no instance.

Aurora keeps six copies in three zones and acknowledges a commit with four of them
(https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.StorageReliability.html),
so a cluster with instances in two zones survives the loss of either. Here `pg_receivewal` holds the
log in a zone without an instance, is part of the quorum that commits wait for, and gives what it
has to whoever is promoted. It is separate from the instances because it is no server: it can
neither be read from nor be promoted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import make_conninfo

from evertill.twin.errors import PartFailed
from evertill.twin.parts import wal
from evertill.twin.parts.database_programs import Programs
from evertill.twin.parts.postgres import REPLICATOR, Secrets
from evertill.twin.processes import Owned, Processes

RETRY_INTERVAL_S: Final = 0.3
CONNECT_TIMEOUT_S: Final = 5
# The same as what the writer keeps.
SEGMENTS_MAX: Final = 64
STOP_TIMEOUT_S: Final = 5.0


class Receiver:
    """Receives the log of the upstream for as long as it is told to."""

    def __init__(
        self,
        name: str,
        place: str,
        folder: Path,
        *,
        programs: Programs,
        processes: Processes,
        secrets: Secrets,
        upstream: tuple[str, int],
    ) -> None:
        """Keep the log in `folder`; receive from `upstream`, a gate that follows the writer."""
        self.name: Final = name
        self.place: Final = place
        self.member: Final = name.rpartition("/")[2]
        self.folder: Final = folder
        self._programs: Final = programs
        self._processes: Final = processes
        self._upstream: Final = make_conninfo(
            host=upstream[0],
            port=upstream[1],
            user=REPLICATOR,
            password=secrets.replicator,
            application_name=self.member,
            sslmode="disable",
            connect_timeout=CONNECT_TIMEOUT_S,
        )
        self._program: Owned | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether it receives, or tries to."""
        return self._task is not None

    async def start(self) -> None:
        """Begin to receive, and go on until stopped."""
        if self._task is None:
            self._programs.make_folder(self.folder)
            self._task = asyncio.create_task(self._receive())

    async def stop(self) -> None:
        """Stop receiving; what was received stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._program is not None and self._program.is_running:
            await self._program.stop(STOP_TIMEOUT_S)

    async def kill(self) -> None:
        """End it at once, as when its zone is lost."""
        if self._program is not None and self._program.is_running:
            await self._program.kill()
        await self.stop()

    async def restart(self) -> None:
        """Turn to a new writer now rather than when the old connection is found dead."""
        if self._task is not None:
            await self.kill()
            await self.start()

    def freeze(self) -> None:
        """Let it receive and confirm nothing more for now."""
        if self._program is not None:
            self._program.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        if self._program is not None:
            self._program.thaw()

    def end(self) -> int:
        """Return the position up to which it holds the log."""
        return wal.end_of(self.folder) if self.folder.is_dir() else 0

    def status(self) -> dict[str, Any]:
        """Return how it is."""
        return {"place": self.place, "running": self.is_running, "role": "log"}

    async def reset(self) -> None:
        """Begin anew at the writer's present position: its log does not continue into ours."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        await self.start()

    async def _receive(self) -> None:
        while True:
            with contextlib.suppress(PartFailed):
                self._program = await self._begin()
                await self._program.wait()
            await asyncio.to_thread(wal.trim, self.folder, SEGMENTS_MAX)
            await asyncio.sleep(RETRY_INTERVAL_S)

    async def _begin(self) -> Owned:
        return await self._processes.start(
            self.name,
            [
                self._programs.path("pg_receivewal"),
                f"--directory={self.folder}",
                f"--dbname={self._upstream}",
                "--synchronous",
                "--no-loop",
                "--status-interval=1",
            ],
            environment=self._programs.environment(),
            log=self.folder.with_name(f"{self.folder.name}.log"),
            directory=self.folder,
            identity=self._programs.identity(),
        )

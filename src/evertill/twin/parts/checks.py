"""Runs the health checks that containers ask themselves, and tells which pass.

It is separate from the containers because all of them share one warm Python for the checks that are
a line of Python; every other check is a process like any.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from evertill.twin.errors import PartFailed
from evertill.twin.plan.images import OURS, Image
from evertill.twin.processes import Owned, Processes, inherited

ZYGOTE: Final = Path(__file__).with_name("zygote.py")
# More than the check's own time, so that the fork's end is seen rather than guessed.
ANSWER_MARGIN_S: Final = 2.0
START_TIMEOUT_S: Final = 20.0
START_PAUSE_S: Final = 0.02
LOG: Final = "checks.log"


class Checks:
    """All health checks by command of a twin."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        """Start the warm Python when it is first needed, with its log in `folder`."""
        self._processes: Final = processes
        self._folder: Final = folder
        self._zygote: Owned | None = None
        self._socket: Path | None = None
        self._starting: Final = asyncio.Lock()

    async def passes(
        self,
        name: str,
        image: Image,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        timeout_s: float,
    ) -> bool:
        """Tell whether `command` ends with success within `timeout_s` seconds of the machine."""
        is_line = image.kind == OURS and len(command) == 3 and command[:2] == ["python", "-c"]  # noqa: PLR2004 - python -c code
        try:
            if is_line:
                return await self._ask(command[2], environment, folder, timeout_s)
            return await self._run(name, command, environment, folder, timeout_s)
        except (PartFailed, OSError, TimeoutError):
            return False

    async def stop(self) -> None:
        """End the warm Python."""
        if self._zygote is not None and self._zygote.is_running:
            await self._zygote.kill()
        if self._socket is not None:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    async def _run(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        timeout_s: float,
    ) -> bool:
        process = await self._processes.start(
            name, command, environment=environment, log=folder / LOG, directory=folder
        )
        try:
            return await asyncio.wait_for(process.wait(), timeout_s) == 0
        finally:
            if process.is_running:
                await process.kill()

    async def _ask(
        self, code: str, environment: Mapping[str, str], folder: Path, timeout_s: float
    ) -> bool:
        socket = await self._ready()
        request = {
            "code": code,
            "environment": dict(environment),
            "directory": str(folder),
            "log": str(folder / LOG),
            "timeout_s": timeout_s,
        }
        async with asyncio.timeout(timeout_s + ANSWER_MARGIN_S):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(json.dumps(request).encode())
                writer.write_eof()
                return await reader.read() == b"0"
            finally:
                writer.close()

    async def _ready(self) -> Path:
        """Return where the warm Python listens, starting it when it does not run."""
        async with self._starting:
            if self._zygote is None or self._socket is None or not self._zygote.is_running:
                # A folder of our own below the system's: the path of a socket must be short, and
                # nobody else may hand code to it.
                self._socket = Path(tempfile.mkdtemp(prefix="evertill-")) / "checks"
                self._zygote = await self._processes.start(
                    "health checks",
                    [sys.executable, str(ZYGOTE), str(self._socket)],
                    environment=inherited(),
                    log=self._folder / LOG,
                )
                async with asyncio.timeout(START_TIMEOUT_S):
                    while not self._socket.exists():  # noqa: ASYNC110 - a file tells nobody
                        await asyncio.sleep(START_PAUSE_S)
            return self._socket

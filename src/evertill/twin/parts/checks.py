"""Runs the health checks that containers ask themselves, and tells which pass.

It is separate from the containers because all of them share one warm Python for the checks that are
a line of Python; every other check is a process like any.
"""

from __future__ import annotations

import asyncio
import json
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
# The kernels' limits are 104 and 108 bytes.
SOCKET_LENGTH_MAX: Final = 100
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
            self._socket.unlink(missing_ok=True)
            if self._socket.parent != self._folder:
                self._socket.parent.rmdir()

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
            async with asyncio.timeout(timeout_s):
                return await process.wait() == 0
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
                self._socket = self._place()
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

    def _place(self) -> Path:
        """Return where to listen: in our folder, unless the path of a socket must be shorter."""
        place = self._folder / "checks.sock"
        if len(str(place)) > SOCKET_LENGTH_MAX:
            return Path(tempfile.mkdtemp(prefix="evertill-")) / "checks.sock"
        place.unlink(missing_ok=True)
        return place

"""`evertill recovery` as an operator types it: a process of its own, which may be killed.

It is separate because this is all that the drill knows of recovery: a command line, an exit status
and one JSON document.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.drill.errors import RecoveryFailed
from evertill.drill.ground import Ground

KEY_VARIABLE: Final = "EVERTILL_RECOVERY_API_KEY"
SPEED_VARIABLE: Final = "EVERTILL_TIME_SCALE"
KILLS_MAX: Final = 30
TAIL_MAX_CHARACTERS: Final = 1_500
POLL_S: Final = 0.01


class Told(msgspec.Struct, frozen=True):
    """What a recovery command said: a note for people, and its document."""

    note: str
    document: dict[str, Any]


class Recovery:
    """Runs the command on a ground."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        """Keep journals and reports in `folder`."""
        self._ground = ground
        self._folder = folder

    async def run(self, arguments: Sequence[str], within_s: float, kills: bool) -> Told:  # noqa: FBT001 - a step's flag
        """Run a command to its end; raise RecoveryFailed when it does not end well.

        With `kills` it is killed after every step that it has done, and run again each time.
        """
        seen = 0
        while True:
            process = await self._start(arguments)
            try:
                async with asyncio.timeout(within_s):
                    if kills and seen < KILLS_MAX and await self._is_killed(process, seen + 1):
                        seen = len(self._steps())
                        continue
                    output, errors = await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()
                message = f"recovery {arguments[0]} did not end in {within_s:.0f} s."
                raise RecoveryFailed(message) from None
            return self._told(arguments, process.returncode, output, errors, seen)

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "evertill.cli", "recovery", *arguments, "--json"]
        return await asyncio.create_subprocess_exec(
            *command,
            *self._ground.recovery_arguments(),
            f"--folder={self._folder}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )

    def _environment(self) -> Mapping[str, str]:
        speed = self._ground.speed
        scale = {SPEED_VARIABLE: f"{speed:g}"} if speed != 1 else {}
        return {**os.environ, KEY_VARIABLE: self._ground.key, **scale}

    async def _is_killed(self, process: asyncio.subprocess.Process, count: int) -> bool:
        """Kill the process when its journal has `count` steps; tell whether it came to that."""
        while process.returncode is None:
            if len(self._steps()) >= count:
                process.send_signal(signal.SIGKILL)
                await process.communicate()
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _steps(self) -> list[str]:
        """Return the lines of the journals of done steps."""
        journals = sorted(self._folder.rglob("*.journal.ndjson"))
        return [line for path in journals for line in path.read_text().splitlines()]

    def _told(
        self,
        arguments: Sequence[str],
        status: int | None,
        output: bytes,
        errors: bytes,
        kills: int,
    ) -> Told:
        try:
            document: dict[str, Any] = json.loads(output)
        except ValueError:
            document = {}
        # `status` exits with 1 when something does harm, which is what a drill brings about.
        if status != 0 and arguments[0] != "status":
            said = errors.decode(errors="replace")[-TAIL_MAX_CHARACTERS:].strip()
            message = f"recovery {' '.join(arguments)} ended with {status}: {said}"
            raise RecoveryFailed(message)
        return Told(f"killed {kills} times" if kills else "", document)

"""The wall clocks of tasks and databases, which a fault lets jump.

Each process is given a library that answers for the system's clock (libfaketime, by LD_PRELOAD) and
a file of its own, which the library reads once a second: what the clock is off by. The monotonic
clock is left alone, as a real clock that is set leaves it. It is done only where a twin was started
for it: the library reads its file in whatever place a program asks for the time, and nobody should
have that in a database without need (ADR 0056). It is separate from tasks and databases, which only
take variables from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from evertill.twin.errors import TwinError
from evertill.twin.processes import inherited

# Where the package has it, which it builds for x86-64 alone.
LIBRARY: Final = Path("vendor") / "libfaketime" / "src" / "libfaketime.so.1"
# How often a process looks, and so how late a jump may come.
LOOK_INTERVAL_S: Final = 1
OFFSET_MAX_S: Final = 86_400
# One file for each process that was started; a process whose file goes away is ended by the
# library, so none is removed, and those beyond this share one with all of their region.
FILES_MAX: Final = 4_096
PROBE_TIMEOUT_S: Final = 20.0
PROBE_OFFSET_S: Final = 1_000
PROBE: Final = "import time; print(int(time.time()), int(time.monotonic()))"
READABLE: Final = 0o644
OPEN_FOLDER: Final = 0o755


class CannotJump(TwinError):
    """The twin was not started with clocks that can jump: start it with `--clock-faults`."""

    code = "not_run"


class Clocks:
    """The clocks of the processes of one twin."""

    def __init__(self, folder: Path, *, are_wanted: bool) -> None:
        """Keep the files in `folder`; nothing is given to any process unless they `are_wanted`."""
        self._folder: Final = folder
        self._are_wanted: Final = are_wanted
        self._library: Path | None = None
        self._why_not = ""
        self._regions_s: dict[str, float] = {}
        self._own_s: dict[tuple[str, str], float] = {}
        self._files: dict[tuple[str, str], Path] = {}

    @property
    def can_jump(self) -> bool:
        """Tell whether the clocks of processes that are started now can jump."""
        return self._library is not None

    async def prepare(self) -> None:
        """Have the library ready where it is wanted and works; note why where it does not."""
        if not self._are_wanted:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._folder.chmod(OPEN_FOLDER)
        try:
            self._library = self._copied()
            await self._try_out()
        except (OSError, CannotJump, TimeoutError) as failure:
            self._library = None
            self._why_not = f"No clock can jump here: {failure}"

    def environment(self, region: str, process: str) -> Mapping[str, str]:
        """Return the variables of a process that is started, which is known by this name."""
        if self._library is None:
            return {}
        key = region, process
        if key not in self._files and len(self._files) >= FILES_MAX:
            key = region, ""
        if key not in self._files:
            self._files[key] = self._folder / f"{len(self._files)}-{region}"
        self._write(key)
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._files[key]),
            "FAKETIME_CACHE_DURATION": str(LOOK_INTERVAL_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, region: str, offset_s: float, process: str = "") -> None:
        """Let the clocks of a region, or of one process there, be off by so much more.

        Processes that are started later in the region are off too. Raise CannotJump.
        """
        if not self.can_jump:
            raise CannotJump(self._why_not or None)
        if process:
            key = region, process
            self._own_s[key] = self._own_s.get(key, 0) + offset_s
        else:
            self._regions_s[region] = self._regions_s.get(region, 0) + offset_s
        for key in self._files:
            if key[0] == region:
                self._write(key)

    def _write(self, key: tuple[str, str]) -> None:
        """Replace a file at once: nobody may read half an offset."""
        offset_s = self._regions_s.get(key[0], 0) + self._own_s.get(key, 0)
        draft = self._files[key].with_suffix(".new")
        draft.write_text(f"{offset_s:+.3f}")
        draft.chmod(READABLE)
        draft.rename(self._files[key])

    def _copied(self) -> Path:
        """Copy the library to where the servers' user may read it; raise CannotJump without one."""
        package = find_spec("libfaketime") if sys.platform == "linux" else None
        if package is None or package.origin is None:
            raise CannotJump("the package libfaketime is not installed, or this is not Linux.")
        copied = self._folder / LIBRARY.name
        shutil.copyfile(Path(package.origin).parent / LIBRARY, copied)
        copied.chmod(READABLE)
        return copied

    async def _try_out(self) -> None:
        """Raise CannotJump unless a process sees its wall clock jump and the other one not."""
        key = "", "probe"
        self._own_s[key] = PROBE_OFFSET_S
        variables = self.environment(*key)
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", PROBE),
            env={**inherited(), **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                told, _ = await program.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.kill()
        words = told.decode(errors="replace").split()
        if len(words) != 2 or not all(map(str.isdecimal, words)):  # noqa: PLR2004 - the two clocks
            raise CannotJump("a program does not run with libfaketime for this kind of machine.")
        wall_s, monotonic_s = int(words[0]) - time.time(), int(words[1]) - time.monotonic()
        if abs(wall_s - PROBE_OFFSET_S) > PROBE_TIMEOUT_S or abs(monotonic_s) > PROBE_TIMEOUT_S:
            raise CannotJump("libfaketime does not move the clock of a program here.")

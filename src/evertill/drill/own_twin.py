"""A twin of the drill's own: started in a folder that goes with it, stopped whatever happens.

It is separate because a drill may as well be run on a twin that somebody else has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from evertill.drill.errors import GroundUnready
from evertill.drill.ground import Ground
from evertill.drill.twin_ground import TwinGround

START_TIMEOUT_S: Final = 240.0
STEADY_TIMEOUT_S: Final = 300.0
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.25
OUTPUT_TAIL_MAX_CHARACTERS: Final = 2_000
CONTROL_FILE: Final = "control.json"
# The servers run as another user where root starts the twin.
FOLDER_MODE: Final = 0o755


@asynccontextmanager
async def own_twin(
    assembly: Path, *, speed: float, tasks: int, options: Sequence[str] = ()
) -> AsyncIterator[TwinGround]:
    """Run the assembly meanwhile; raise GroundUnready when it does not come up."""
    home = _make_home()
    try:
        with (home / "twin.out").open("wb") as output:
            process = _start(
                [str(assembly), f"--speed={speed}", f"--tasks={tasks}", *options],
                home / "twin",
                output.fileno(),
            )
        try:
            yield await _connected(process, home)
        finally:
            await asyncio.to_thread(_stop, process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _make_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="evertill-drill-"))
    home.chmod(FOLDER_MODE)
    return home


async def until_steady(ground: Ground) -> None:
    """Wait until every service runs what it should and one region takes payments."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STEADY_TIMEOUT_S):
            while not (await ground.glance()).is_steady:  # noqa: ASYNC110 - it is asked over HTTP
                await asyncio.sleep(POLL_S)
            return
    raise GroundUnready(f"The platform did not become steady in {STEADY_TIMEOUT_S:.0f} s.")


def _start(arguments: Sequence[str], folder: Path, output: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "evertill.cli", "twin", "up", *arguments]
    command += ["--folder", str(folder)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Ctrl-C is for the drill, which then stops the twin in good order.
        start_new_session=True,
    )


async def _connected(process: subprocess.Popen[bytes], home: Path) -> TwinGround:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    control = home / "twin" / CONTROL_FILE
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise GroundUnready(f"The twin did not start: {_tail(home)}")
        with contextlib.suppress(OSError, ValueError, KeyError, GroundUnready):
            url = json.loads(control.read_bytes())["url"]
            return TwinGround.connect(url)
        await asyncio.sleep(POLL_S)
    raise GroundUnready(f"The twin did not start in {START_TIMEOUT_S:.0f} s: {_tail(home)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Its parts end with it, or by the next start from its record.
        process.kill()
        process.wait()


def _tail(home: Path) -> str:
    text = (home / "twin.out").read_text(errors="replace")
    return text[-OUTPUT_TAIL_MAX_CHARACTERS:].strip() or "it said nothing"

"""Processes of the twin end with it, or at its next start; nobody else's ever do."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from evertill.twin.errors import PartFailed
from evertill.twin.processes import Known, Owned, Processes, inherited, sweep

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True);"
        "print('up', flush=True); time.sleep(600)"
    ),
]
DEADLINE_S = 20.0


async def begin(processes: Processes, folder: Path, command: list[str]) -> Owned:
    return await processes.start(
        "task", command, environment=inherited(), log=folder / "log", directory=folder
    )


async def until_frozen(owned: Owned) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while psutil.Process(owned.pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110 - as below
            await asyncio.sleep(0.001)


async def until_logged(folder: Path, text: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while text not in (folder / "log").read_text():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)


def test_a_process_that_is_killed_takes_along_what_left_its_session(tmp_path: Path) -> None:
    async def story() -> list[psutil.Process]:
        owned = await begin(Processes(tmp_path / "record"), tmp_path, WITH_CHILD)
        await until_logged(tmp_path, "up")
        tree = owned.tree()
        await owned.kill()
        return tree

    tree = asyncio.run(story())
    assert 2 == len(tree)
    assert [] == psutil.wait_procs(tree, timeout=DEADLINE_S)[1]


def test_the_next_start_ends_what_a_killed_twin_left_running(tmp_path: Path) -> None:
    twin = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from evertill.twin.processes import Processes, inherited\n"
        "async def main():\n"
        "    folder = Path(sys.argv[1])\n"
        "    owned = await Processes(folder / 'record').start('task', ['sleep', '600'],"
        " environment=inherited(), log=folder / 'log')\n"
        "    print(owned.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", twin, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert -signal.SIGKILL == done.returncode, done.stderr
    left = psutil.Process(int(done.stdout))
    assert ["task"] == sweep(tmp_path / "record")
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP)
    try:
        known = Known(stranger.pid, 1.0, "task")
        (tmp_path / "record").write_bytes(msgspec.json.encode(known) + b'\n{"pid": 1')
        assert [] == sweep(tmp_path / "record")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_frozen_process_stays_and_goes_on_when_it_is_thawed(tmp_path: Path) -> None:
    async def story() -> int:
        owned = await begin(Processes(tmp_path / "record"), tmp_path, SLEEP)
        owned.freeze()
        await until_frozen(owned)
        owned.thaw()
        return await owned.stop(DEADLINE_S)

    assert -signal.SIGTERM == asyncio.run(story())


def test_a_frozen_process_is_killed_when_it_does_not_stop(tmp_path: Path) -> None:
    async def story() -> int:
        owned = await begin(Processes(tmp_path / "record"), tmp_path, SLEEP)
        owned.freeze()
        await until_frozen(owned)
        return await owned.stop(0.1)

    assert -signal.SIGKILL == asyncio.run(story())


def test_a_program_that_does_not_exist_ends_at_once(tmp_path: Path) -> None:
    async def story() -> int:
        owned = await begin(Processes(tmp_path / "record"), tmp_path, ["no-such-program"])
        return await owned.wait()

    assert 127 == asyncio.run(story())


def test_a_folder_that_does_not_exist_is_one_clear_failure(tmp_path: Path) -> None:
    async def story() -> None:
        await begin(Processes(tmp_path / "nowhere" / "record"), tmp_path, SLEEP)

    with pytest.raises(PartFailed, match="task did not start"):
        asyncio.run(story())

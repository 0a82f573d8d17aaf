"""However a twin ends, and whenever, no process of it stays: by itself, or by the next start.

The twin runs as a user starts it, as a command of its own, on small templates of another app.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.databases import make_folder

from evertill.twin.running.ground import RECORD

# A whole twin wants the machine to itself: `make test-twin` runs these, after all other tests.
ALONE = "EVERTILL_TEST_TWIN"
pytestmark = [
    pytest.mark.skipif(not os.environ.get(ALONE), reason="`make test-twin` runs it alone"),
    pytest.mark.timeout(300),
]
FOREIGN = Path(__file__).parent / "assemblies" / "foreign"
UP = ("twin", "up", str(FOREIGN), "--tasks", "1", "--speed", "10")
STARTED = "Ctrl-C stops everything"
HALF_WAY = "Starting the databases."
SWEPT = "Ended what an earlier twin left running"
END_TIMEOUT_S = 60.0

# A process is its pid and its start time: a pid alone may be somebody else's by now.
Member = tuple[int, float]


class Command:
    """`evertill twin up`, as it runs."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evertill.cli", *UP, "--folder", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def until(self, sentence: str) -> None:
        """Read what it says until it says that."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if sentence in line:
                return
        raise AssertionError("".join(self.said))

    def members(self) -> set[Member]:
        """Return what it started and what still runs."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return {(child.pid, child.create_time()) for child in children}

    def end(self, number: signal.Signals) -> int:
        """Send a signal to it, as a terminal would to all that is in the foreground."""
        os.killpg(self.process.pid, number)
        return self.ended()

    def ended(self) -> int:
        """Return the exit status, with all that it said by then."""
        assert self.process.stdout is not None
        with self.process.stdout as rest:
            self.said.extend(rest)
        return self.process.wait(END_TIMEOUT_S)


def alive(members: set[Member]) -> set[Member]:
    def is_alive(member: Member) -> bool:
        try:
            process = psutil.Process(member[0])
            return bool(
                process.create_time() == member[1] and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False

    return set(filter(is_alive, members))


def soon_gone(members: set[Member]) -> bool:
    """Tell whether all are gone, at once or when those have noticed whose parent is."""
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while alive(members) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return not alive(members)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the databases' user can enter."""
    made = make_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def command(folder: Path) -> Iterator[Command]:
    """Give a twin that begins to start; it is ended with all it started if the test did not."""
    running = Command(folder)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGINT)


def test_ctrl_c_leaves_no_process_however_often_it_is_pressed(
    command: Command, folder: Path
) -> None:
    command.until(STARTED)
    members = command.members()
    assert len(members) > 10
    os.killpg(command.process.pid, signal.SIGINT)
    assert 0 == command.end(signal.SIGINT)
    assert not alive(members)
    assert not (folder / RECORD).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_start_that_is_stopped_half_way_is_undone(
    command: Command, folder: Path, number: signal.Signals
) -> None:
    command.until(HALF_WAY)
    members = command.members()
    assert members
    assert 130 == command.end(number)
    assert "Stopped before the start was finished; nothing was lost.\n" == command.said[-1]
    assert not alive(members)
    assert not (folder / RECORD).exists()


def test_a_start_that_fails_half_way_is_undone(folder: Path) -> None:
    # Where a region's tasks and load balancers would have their files, which start last.
    (folder / "us-east-1").touch()
    command = Command(folder)
    command.until(HALF_WAY)
    members = command.members()
    assert members
    assert 0 != command.ended()
    assert not alive(members)
    assert not (folder / RECORD).exists()


@pytest.mark.parametrize("moment", [HALF_WAY, STARTED])
def test_what_a_killed_twin_left_is_ended_by_the_next_start(
    command: Command, folder: Path, moment: str
) -> None:
    command.until(moment)
    members = command.members()
    command.end(signal.SIGKILL)
    left = alive(members)
    assert left
    again = Command(folder)
    try:
        again.until(SWEPT)
        again.until("Starting the AWS API")
        assert soon_gone(members)
        again.until(STARTED)
    finally:
        assert 0 == again.end(signal.SIGINT)
    assert not (folder / RECORD).exists()

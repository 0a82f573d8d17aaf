"""What a data directory's `postmaster.pid` says, and whether it is still true.

It is separate because trusting a pid file is where supervisors go wrong: after a crash or a
reboot its number may belong to nobody, to a zombie or to a stranger, and a server that outlived
its parent must be told apart from all three by the data directory that it works in.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evertill.quickstart.faults import ClusterError

POLL_INTERVAL_S = 0.02
FAST_STOP_TIMEOUT_S = 20.0
IMMEDIATE_STOP_TIMEOUT_S = 5.0
KILL_TIMEOUT_S = 5.0
PS_TIMEOUT_S = 10.0

_PROC = Path("/proc")
_STATUS_LINE = 7
_DEFUNCT_STATES = ("Z", "X")

# PostgreSQL's own words for its three ways to stop; SIGKILL is not one of them, and comes last.
_STOPS = (
    (signal.SIGINT, FAST_STOP_TIMEOUT_S),
    (signal.SIGQUIT, IMMEDIATE_STOP_TIMEOUT_S),
    (signal.SIGKILL, KILL_TIMEOUT_S),
)


@dataclass(frozen=True, slots=True)
class PidFile:
    """The lines of a `postmaster.pid` that we act on."""

    pid: int
    status: str

    @property
    def accepts_connections(self) -> bool:
        """Whether the server that wrote the file says that clients may connect."""
        return self.status in ("ready", "standby")


def read_pid_file(data: Path) -> PidFile | None:
    """Return what the data directory's pid file says, None when there is no readable one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return None
    status = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
    return PidFile(pid, status)


def is_alive(pid: int) -> bool:
    """Tell whether `pid` is a process that still runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not _PROC.joinpath("self").exists() or (_PROC / str(pid)).exists()
    return state not in _DEFUNCT_STATES


def is_server_of(pid: int, data: Path) -> bool:
    """Tell whether `pid` is a PostgreSQL server that works in the data directory `data`."""
    if not is_alive(pid):
        return False
    command = _command_of(pid)
    if not command or Path(command[0]).name != "postgres":
        return False
    try:
        # A server stays in its data directory, even when that was renamed under it.
        return (_PROC / str(pid) / "cwd").samefile(data)
    except OSError:
        return str(data) in command


def stop(signal_to: Callable[[int], None], has_ended: Callable[[], bool]) -> None:
    """Stop a server: fast, then at once without a checkpoint, then by force.

    Raises ClusterError when it outlives even that, as a process stuck in the kernel does.
    """
    for number, timeout_s in _STOPS:
        if has_ended():
            return
        signal_to(number)
        if wait_until(has_ended, timeout_s):
            return
    message = "PostgreSQL does not end, not even by force. Look at the disk, then restart."
    raise ClusterError(message)


def stop_orphan(pid: int) -> None:
    """Stop the server `pid`, which is not our child. Raises ClusterError when we may not."""

    def send(number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            message = (
                f"A PostgreSQL of another user (process {pid}) runs on this data directory. "
                "Stop it, then start again."
            )
            raise ClusterError(message, pid=pid) from error

    stop(send, lambda: not is_alive(pid))


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for `condition` for at most `timeout_s` seconds; tell whether it came true."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def _command_of(pid: int) -> list[str]:
    """Return the command line of `pid`, empty when it is not ours to know."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return [] if _PROC.joinpath("self").exists() else _command_from_ps(pid)
    return [os.fsdecode(word) for word in raw.split(b"\0") if word]


def _command_from_ps(pid: int) -> list[str]:
    """Ask `ps` on systems without /proc, such as macOS."""
    try:
        done = subprocess.run(
            ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)],
            check=False,
            capture_output=True,
            text=True,
            timeout=PS_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    # The data directory follows -D and may hold spaces; the program's path is kept before it.
    program, _, rest = done.stdout.strip().partition(" -D ")
    return [program, rest.partition(" -c ")[0]] if rest else []

"""How a cluster is made, checked and given its password, with no server running.

It is separate because these steps happen once in a cluster's life, as programs that run to their
end, and because each must be safe to be killed in the middle.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from evertill.quickstart import binaries, faults, layout, options, postmaster
from evertill.quickstart.faults import ClusterError, DataDirectoryUnusable

INITDB_TIMEOUT_S = 300.0
SINGLE_USER_TIMEOUT_S = 120.0


def initialise(chosen: layout.Layout, initdb: Path) -> None:
    """Make a new cluster beside and rename it: what has the final name is complete.

    Raises DiskFull or ClusterError, and then nothing is left behind.
    """
    shutil.rmtree(chosen.draft, ignore_errors=True)
    chosen.draft.mkdir(mode=0o700)
    chosen.account.own(chosen.draft)
    where = [f"--pwfile={chosen.password}", f"--pgdata={chosen.draft}"]
    try:
        status, output = _run(
            chosen, [str(initdb), *options.INITDB_ARGUMENTS, *where], timeout_s=INITDB_TIMEOUT_S
        )
        if status != 0:
            with os.fdopen(chosen.open_log(), "a") as log:
                log.write(output)
            raise faults.explain(output, chosen.log)
        layout.publish(chosen)
    finally:
        shutil.rmtree(chosen.draft, ignore_errors=True)


def require_same_major_version(chosen: layout.Layout) -> None:
    """Refuse data of another major version of PostgreSQL. Raises DataDirectoryUnusable."""
    found = (chosen.data / "PG_VERSION").read_text().strip()
    ours = str(binaries.major_version(binaries.installed()))
    if found != ours:
        message = (
            f"The database in {chosen.data} was made by PostgreSQL {found}, and this is "
            f"PostgreSQL {ours}. Dump it with version {found} and load it anew, or move it away "
            "to begin anew; it was left untouched."
        )
        raise DataDirectoryUnusable(message, found=found, expected=ours)


def set_password(chosen: layout.Layout, postgres: Path) -> None:
    """Give the superuser the password in the password file. Raises DiskFull or ClusterError."""
    password = chosen.password.read_text().strip()
    status, output = _run(
        chosen,
        [str(postgres), "--single", "-D", str(chosen.data), "postgres"],
        stdin=f"ALTER ROLE {options.SUPERUSER} PASSWORD '{password}'\n",
        timeout_s=SINGLE_USER_TIMEOUT_S,
    )
    if status != 0 or "ERROR:" in output:
        # Without the file the next start tries again; with it, nobody could ever log in.
        chosen.password.unlink(missing_ok=True)
        raise faults.explain(output, chosen.log)


def environment(data: Path) -> dict[str, str]:
    """Return the server's environment: ours, without what would change PostgreSQL's behaviour.

    The pid in a left-over pid file may by now belong to a stranger of the same user, for whose
    sake PostgreSQL would refuse to start. We have made sure that it is not our server, so we name
    it as a harmless relative, which is how pg_ctl names its shell. Its other check, that nobody
    is attached to the old server's shared memory, stays in force.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    found = postmaster.read_pid_file(data)
    if found is not None:
        kept["PG_GRANDPARENT_PID"] = str(found.pid)
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _run(
    chosen: layout.Layout, command: Sequence[str], *, timeout_s: float, stdin: str = ""
) -> tuple[int, str]:
    """Run a program as the server's user; return its status and its output.

    A session of its own lets us end all of it, and keeps a terminal's Ctrl-C for us alone.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=environment(chosen.data),
        start_new_session=True,
        **chosen.account.identity(),
    ) as process:
        try:
            output, _ = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            message = f"{Path(command[0]).name} took more than {timeout_s:.0f} s. Try again."
            raise ClusterError(message) from error
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output

"""Which user the database server runs as, because PostgreSQL refuses to run as root.

It is separate so that the one place that starts processes as somebody else, and hands files
over to them, can be read and judged alone. It never changes a directory that it did not make.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from evertill.quickstart.faults import ClusterError

PROBE_TIMEOUT_S = 20.0
UNPRIVILEGED_USER = "nobody"


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that start a process as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as. `dropped` is true when we are root and it is not."""

    uid: int
    gid: int
    name: str
    dropped: bool

    def identity(self) -> Identity:
        """Return what `subprocess` needs to start a process as this user."""
        if not self.dropped:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand `path`, which we made, over to this user; a link planted there is not followed."""
        if self.dropped:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def succeeds(self, *command: str) -> bool:
        """Tell whether this user can run `command` with success."""
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=PROBE_TIMEOUT_S,
                **self.identity(),
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def can_enter(self, directory: Path) -> bool:
        """Tell whether this user can traverse into `directory`."""
        return self.succeeds("/bin/sh", "-c", 'cd "$1"', "sh", str(directory))


def choose_account(directory: Path) -> Account:
    """Return who runs the server of the data in `directory`.

    We do, unless we are root. Then it is whoever owns the data already, so that the next start
    finds it again; else the user who called sudo; else `nobody`. Raises ClusterError when we are
    root and there is nobody to be.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), _name_of(os.geteuid()), dropped=False)
    if directory.is_dir() and directory.stat().st_uid != 0:
        owner = directory.stat()
        return Account(owner.st_uid, owner.st_gid, _name_of(owner.st_uid), dropped=True)
    try:
        entry = _entry_of_sudo_caller() or pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        message = (
            f"PostgreSQL refuses to run as root, and there is no user `{UNPRIVILEGED_USER}` to run "
            "it as. Run this command as an ordinary user."
        )
        raise ClusterError(message) from error
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, dropped=True)


def _entry_of_sudo_caller() -> pwd.struct_passwd | None:
    """Return the user who called sudo, None without one; PostgreSQL insists on a known user."""
    sudo_uid = os.environ.get("SUDO_UID", "")
    if not sudo_uid.isdecimal() or int(sudo_uid) == 0:
        return None
    try:
        return pwd.getpwuid(int(sudo_uid))
    except KeyError:
        return None


def _name_of(uid: int) -> str:
    """Return the name of `uid`, or its number where it has none, as in many containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

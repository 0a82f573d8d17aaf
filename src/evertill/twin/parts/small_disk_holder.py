"""Mounts a small file system in memory where only its own namespaces see it, and holds it there.

    python small_disk_holder.py FOLDER MEGABYTES UID GID

It is a program of its own, started by path, because namespaces belong to a process, and the file
system is gone with the last one that holds them. Who may look at this process gets there through
`/proc/PID/root`. Whoever started it writes its maps of users, as only that side may.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Final

# https://man7.org/linux/man-pages/man2/unshare.2.html and prctl.2.html
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
PR_SET_DUMPABLE: Final = 4
MAPS: Final = (Path("/proc/self/uid_map"), Path("/proc/self/gid_map"))
MAPPED_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01
HOLD_S: Final = 3600


def main(folder: str, megabytes: str, uid: int, gid: int) -> None:
    """Mount, and stay until the process is ended; exit with the reason where it cannot be."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        # A process that gave rights up is nobody's to look at, unless it says so.
        _call("prctl", libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    _call("unshare", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    deadline_s = time.monotonic() + MAPPED_TIMEOUT_S
    while not all(path.read_text().strip() for path in MAPS):
        if time.monotonic() > deadline_s:
            sys.exit("nobody has mapped the users of the namespace")
        time.sleep(POLL_S)
    options = f"size={megabytes}m,mode=0700".encode()
    _call("mount", libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options))
    while True:
        time.sleep(HOLD_S)


def _call(name: str, result: int) -> None:
    if result != 0:
        sys.exit(f"{name}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

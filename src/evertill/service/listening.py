"""The socket that all workers accept from, and who has it when we cannot.

It is separate because the parent binds it before there is any worker, so that a port in use is one
sentence and not the death of every worker, and because naming the holder is the system's business.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

from evertill.domain.errors import EvertillError

LISTEN_BACKLOG: Final = 1024
# The workers of a killed parent notice it within half a second and give the port back.
LEFTOVER_TIMEOUT_S: Final = 1.5
RETRY_INTERVAL_S: Final = 0.05

_PROC: Final = Path("/proc")
_CHOOSE_ANOTHER: Final = (
    'choose another port with --port N (through make: make up-lite ARGS="--port N").'
)
_LISTEN_STATE: Final = "0A"
_STATE_COLUMN: Final = 3
_INODE_COLUMN: Final = 9


class PortUsed(EvertillError):
    """The port is used by another program. Stop it, or choose another port with --port."""

    code = "port_used"


class AddressUnusable(EvertillError):
    """The service cannot listen on this address. Change EVERTILL_HOST or --port."""

    code = "address_unusable"


class Holder(NamedTuple):
    """A process that listens on the port that we wanted."""

    pid: int
    name: str
    directory: Path | None


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise PortUsed or AddressUnusable, each with what to do."""
    deadline_s = time.monotonic() + LEFTOVER_TIMEOUT_S
    while True:
        try:
            # It sets SO_REUSEADDR, or connections of the last run would block the port.
            return socket.create_server(
                (host, port),
                family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                backlog=LISTEN_BACKLOG,
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                # Python adds the address once more in brackets.
                reason = (error.strerror or "unknown reason").partition(" (while")[0]
                message = (
                    f"Cannot listen on {host}, port {port}: {reason}. Choose another "
                    "port with --port, or another address with EVERTILL_HOST."
                )
                raise AddressUnusable(message, port=port) from error
            if time.monotonic() >= deadline_s:
                raise _port_used(port) from error
        time.sleep(RETRY_INTERVAL_S)


def _port_used(port: int) -> PortUsed:
    holder = find_holder(port)
    if holder is None:
        message = f"Port {port} is used by another program. Stop that, or {_CHOOSE_ANOTHER}"
    elif holder.name.startswith("evertill") and holder.directory == Path.cwd():
        message = (
            f"Evertill already runs in this directory (process {holder.pid}), on port {port}. Stop "
            "it first with Ctrl-C where it runs."
        )
    else:
        message = (
            f"Port {port} is used by {holder.name} (process {holder.pid}). Stop that, or "
            f"{_CHOOSE_ANOTHER}"
        )
    return PortUsed(message, port=port)


def find_holder(port: int) -> Holder | None:
    """Return the process that listens on `port`, None where the system does not say."""
    inodes = _listening_inodes(port)
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(entry.name) for entry in _PROC.glob("[0-9]*")) if links else ():
        if not links.isdisjoint(_open_files(pid)):
            return Holder(pid, _name_of(pid), _directory_of(pid))
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            is_ours = columns[1].endswith(f":{port:04X}")
            if is_ours and columns[_STATE_COLUMN] == _LISTEN_STATE:
                found.add(columns[_INODE_COLUMN])
    return found


def _open_files(pid: int) -> set[str]:
    links = set()
    # A process may end meanwhile, or be another user's: then what was found is all there is.
    with contextlib.suppress(OSError):
        for file in (_PROC / str(pid) / "fd").iterdir():
            links.add(str(file.readlink()))
    return links


def _name_of(pid: int) -> str:
    """Return a program's name, without its arguments: those may hold secrets."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        short = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a program"
    if any(Path(word).name == "evertill" or word == "evertill.service.worker" for word in words):
        return "evertill"
    return short


def _directory_of(pid: int) -> Path | None:
    try:
        return (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None

"""What can go wrong with the embedded PostgreSQL, each as one sentence a user can act on.

It is separate because these errors are raised from every module of the room, and because turning
a server log into one sentence is a concern of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evertill.domain.errors import EvertillError

LOG_TAIL_BYTES = 64 * 1024

_DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DISK_FULL_PHRASES = ("No space left on device", "Disk quota exceeded", "File too large")
_SEVERITIES = ("FATAL:", "PANIC:", "initdb: error:", "ERROR:", "error:")


class ClusterError(EvertillError):
    """The embedded PostgreSQL could not do what was asked."""

    code = "cluster"


class ClusterInUse(ClusterError):
    """Another Evertill already uses this data directory. Stop it first."""

    code = "cluster_in_use"


class PortInUse(ClusterError):
    """The database's port is used by another program. Choose another one."""

    code = "port_in_use"


class DiskFull(ClusterError):
    """The disk is full. Free some space and start again; nothing that was stored is lost."""

    code = "disk_full"


class DataDirectoryUnusable(ClusterError):
    """The data directory cannot be used as it is. It was left untouched."""

    code = "data_directory_unusable"


class ServerMissing(ClusterError):
    """The PostgreSQL server is not installed. Remove `.venv` and run `make up` again."""

    code = "server_missing"


def log_size_bytes(log: Path) -> int:
    """Return the size of `log`, 0 when there is none yet."""
    return log.stat().st_size if log.exists() else 0


def read_tail(log: Path, offset_bytes: int) -> str:
    """Return what was written to `log` after `offset_bytes`, at most its last 64 KiB."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(offset_bytes, log_size_bytes(log) - LOG_TAIL_BYTES))
            return stream.read(LOG_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""


def speaks_of_full_disk(text: str) -> bool:
    """Tell whether a program's output blames a full disk, an exhausted quota or a size limit."""
    return any(phrase in text for phrase in _DISK_FULL_PHRASES)


def disk_full(path: Path) -> DiskFull:
    """Return the error that says which disk is full and what to do."""
    return DiskFull(
        f"The disk that holds {path} is full; free some space and start again, "
        "what was stored is kept.",
        path=str(path),
    )


def explain(output: str, log: Path) -> ClusterError:
    """Turn what a failed server wrote into one sentence that names the cause and the log."""
    if speaks_of_full_disk(output):
        return disk_full(log.parent)
    if "could not look up effective user ID" in output:
        message = (
            "PostgreSQL needs a user with a name, and this user id has none on this system. "
            "Run Evertill as a user that is listed in /etc/passwd."
        )
        return ClusterError(message)
    cause = _last_complaint(output)
    return ClusterError(
        f"PostgreSQL did not start: {cause} (its log is {log}; the data was left as it is).",
        log=str(log),
    )


@contextmanager
def disk_errors_explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals around `path` into one of this module's errors.

    Raises DiskFull or DataDirectoryUnusable in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL_ERRNOS:
            raise disk_full(path) from error
        where = error.filename or path
        raise DataDirectoryUnusable(
            f"Cannot use {where}: {error.strerror}. Make it writable, or run the checkout "
            "from a directory of your own; nothing was changed.",
            path=str(where),
        ) from error


def _last_complaint(output: str) -> str:
    """Return the last line of `output` that states an error, without its prefix."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for severity in _SEVERITIES:
        for line in reversed(lines):
            if severity in line:
                return line.split(severity, 1)[1].strip()
    return lines[-1] if lines else "it ended without a word"

"""Which TCP port a cluster listens on, the same one from start to start where it can be.

It is separate because the choice has rules of its own: a port that somebody named is kept or
refused, a port that we chose may change.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from evertill.quickstart.faults import PortInUse

LISTEN_HOST = "127.0.0.1"
DEFAULT_PORT = 55432
PORT_VARIABLE = "EVERTILL_DATABASE_PORT"
PORT_MAX = 65535


def named_port(port: int | None) -> int | None:
    """Return the port that the caller or the environment names. Raises PortInUse for nonsense."""
    if port is not None:
        return port
    text = os.environ.get(PORT_VARIABLE, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= PORT_MAX:
        message = f"{PORT_VARIABLE} must be a port number from 1 to {PORT_MAX}, not {text!r}."
        raise PortInUse(message)
    return int(text)


def choose_port(named: int | None, record: Path) -> int:
    """Return a free port: the one named, the one recorded, the default one, or any.

    Raises PortInUse when a named port is not free.
    """
    if named is not None:
        if not is_free(named):
            raise refused(named)
        return named
    for candidate in (_recorded(record), DEFAULT_PORT):
        if candidate is not None and is_free(candidate):
            return candidate
    return _any_free()


def refused(port: int) -> PortInUse:
    """Return the error for a named port that another program holds."""
    return PortInUse(
        f"Port {port} is used by another program. Set {PORT_VARIABLE} to a free port, or leave "
        "it unset to let Evertill choose one.",
        port=port,
    )


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # PostgreSQL sets this too; without it a port in TIME_WAIT would look used.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LISTEN_HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _recorded(record: Path) -> int | None:
    """Return the port that an earlier start wrote down, None when it is not readable."""
    try:
        port = int(record.read_text())
    except (OSError, ValueError):
        return None
    return port if 0 < port <= PORT_MAX else None


def _any_free() -> int:
    """Return a port that the system considers free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LISTEN_HOST, 0))
        port: int = probe.getsockname()[1]
    return port

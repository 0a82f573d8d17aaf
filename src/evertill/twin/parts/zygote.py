"""Runs health checks of the form `python -c ...`, each in a fork of a Python that is warm.

It is a program of its own, started by path, because a check every few seconds in each of a dozen
tasks would cost an eighth of a processor in starting interpreters alone. What a check does is the
same: it has its own process, its own variables, and a time after which it is ended.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback

# What such checks import, so that the forks find it loaded.
import urllib.request
from typing import Any, Final

BACKLOG: Final = 128
REQUEST_MAX_BYTES: Final = 4 * 1024 * 1024
CHUNK_BYTES: Final = 65_536
LOADED: Final = (urllib.request,)


def main(path: str) -> None:
    """Listen at `path` until the process is ended."""
    # The kernel reaps the forks: nobody asks for their status.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(BACKLOG)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _serve(connection)
            connection.close()


def _serve(connection: socket.socket) -> None:
    """Run one check in a process of its own and tell how it ended; never return."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request = json.loads(_read(connection))
        check = os.fork()
        if check == 0:
            connection.close()
            _settle(request)
            os._exit(_run(request["code"]))
        _, status = os.waitpid(check, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    except BaseException:  # noqa: BLE001 - a fork must not become a second server
        traceback.print_exc()
    finally:
        os._exit(1)


def _read(connection: socket.socket) -> bytes:
    pieces: list[bytes] = []
    while piece := connection.recv(CHUNK_BYTES):
        pieces.append(piece)
        if sum(map(len, pieces)) > REQUEST_MAX_BYTES:
            break
    return b"".join(pieces)


def _settle(request: dict[str, Any]) -> None:
    """Become the check's process: its time, its variables, its folder, its output."""
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["-c"]


def _run(code: str) -> int:
    """Run the code as `python -c` does, and return its exit status."""
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - its purpose
    except SystemExit as leaving:
        given = leaving.code
        if given is None or isinstance(given, int):
            return given or 0
        print(given, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main(sys.argv[1])

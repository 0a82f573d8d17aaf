"""Speaks to a running HAProxy through its socket: commands, and how each server is.

It is separate because it is all that knows the socket's language. Every call opens a connection of
its own, as HAProxy closes it after one line; none waits longer than COMMAND_TIMEOUT_S.
https://docs.haproxy.org/2.8/management.html#9.3
"""

from __future__ import annotations

import asyncio
import csv
import os
import socket
from pathlib import Path
from typing import Final

import msgspec

from evertill.twin.errors import TwinError

SOCKET: Final = "admin.sock"
# A frozen node does not answer; whoever asks goes on without it.
COMMAND_TIMEOUT_S: Final = 5.0
# The sort of line in `show stat` that tells of a server.
SERVERS_ONLY: Final = 4


class NodeSilent(TwinError):
    """The load balancer's node does not answer on its socket."""

    code = "node_silent"


class CommandRefused(TwinError):
    """The load balancer's node did not take a command."""

    code = "command_refused"


class ServerState(msgspec.Struct, frozen=True):
    """A server as `show stat` tells: its state and its last check."""

    backend: str
    name: str
    status: str
    check: str
    code: str

    @property
    def is_up(self) -> bool:
        """Tell whether the checks find it well, whatever was ordered about it."""
        return self.status.startswith(("UP", "DRAIN", "no check"))


class Admin:
    """The socket of one HAProxy."""

    def __init__(self, folder: Path) -> None:
        """Speak to the HAProxy whose working directory `folder` is."""
        self._folder = folder

    async def do(self, *commands: str) -> None:
        """Carry out commands one after another; raise CommandRefused for an unexpected answer.

        HAProxy answers a command that it carried out with nothing or with a sentence of praise.
        """
        for command in commands:
            answer = (await self.ask(command)).strip()
            if answer and not answer.startswith(("New server registered", "Server deleted")):
                message = f"HAProxy answers {command!r} with: {answer}"
                raise CommandRefused(message)

    async def ask(self, command: str) -> str:
        """Return the answer to one command; raise NodeSilent when there is none."""
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await self._exchange(command)
        except (OSError, TimeoutError) as failure:
            raise NodeSilent from failure

    async def servers(self) -> list[ServerState]:
        """Return every server of every backend."""
        answer = await self.ask(f"show stat -1 {SERVERS_ONLY} -1")
        rows = csv.DictReader(answer.removeprefix("# ").splitlines(), restval="")
        return [
            ServerState(
                backend=row["pxname"],
                name=row["svname"],
                status=row["status"],
                # A star before it says that the next check is under way.
                check=row["check_status"].removeprefix("* "),
                code=row["check_code"],
            )
            for row in rows
        ]

    async def _exchange(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(sock=_connected(self._folder))
        try:
            writer.write(command.encode() + b"\n")
            await writer.drain()
            return (await reader.read(-1)).decode()
        finally:
            writer.close()


def _connected(folder: Path) -> socket.socket:
    """Return a connection to the socket in `folder`, however long the folder's path is.

    A path in an address holds 108 bytes; through the folder's descriptor it is always short.
    """
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A local socket is connected at once or, when nobody accepts, not at all.
    connection.setblocking(False)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection

"""An address that takes no connection: whoever tries waits for its own time-out.

It is separate because refusing would be another thing. A connection that a security group does not
allow, or that a partition swallows, is neither accepted nor refused, and clients tell the two apart
(a load balancer answers 504 to the one and 502 to the other).
"""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from evertill.twin.errors import PartFailed


class BlackHole(AbstractContextManager["BlackHole"]):
    """A listening socket whose queue is full, so that the kernel drops every further SYN."""

    def __init__(self, host: str, port: int = 0) -> None:
        """Open one on `host`; port 0 takes any free one. Raise PartFailed when it is taken."""
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # What an earlier one left in TIME_WAIT is nobody's.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((host, port))
        except OSError as failure:
            self._listener.close()
            message = f"{host}:{port} is in use: {failure.strerror}."
            raise PartFailed(message) from failure
        self._listener.listen(0)
        # A backlog of zero still holds one connection; this is it, and nobody ever accepts it.
        self._filler = socket.create_connection(self._listener.getsockname())
        self.address: Final[tuple[str, int]] = self._listener.getsockname()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the address back; whoever waits there is refused."""
        self._filler.close()
        self._listener.close()

"""Signals as something to wait for: a flag that says stop, and a wait that they interrupt.

It is separate because handlers that raise would cut processes off between being started and being
remembered. These only take a note; the code that owns the processes looks at it between its steps.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final, Self, TypeAlias

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WAKEUP_READ_BYTES: Final = 4096

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


class Signals:
    """While entered, a signal to stop sets `stopping`, and any child's end ends a `wait`."""

    def __init__(self) -> None:
        """Change nothing before it is entered."""
        self.stopping = False
        self._before: dict[int, Handler] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        """Take the signals over; only the main thread may."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            # Under nohup the end of the terminal is none of ours.
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _on_child)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_s: float) -> None:
        """Wait until a signal arrives or a child ends, for at most `timeout_s` seconds."""
        if self.stopping:
            return
        if select.select([self._reader], [], [], timeout_s)[0]:
            self._reader.recv(WAKEUP_READ_BYTES)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True


def _on_child(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: that a handler is there is what makes the wait end."""

"""Renews the lease in the background, and tells at any moment whether this process may write.

It is a thread and no task of the event loop, because the SDK's calls wait. The moment until which
we may write is one object that is replaced as a whole: who reads it needs no lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from evertill.authority.holding import NONE, UNSHARED, Authority, Holder
from evertill.authority.lease import Answer, Ask
from evertill.authority.table import LeaseUnreachable

# Longer than one round of calls to every replica takes.
STOP_TIMEOUT_S: Final = 10.0
# A machine that sleeps must not believe that no time has passed.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

log = logging.getLogger(__name__)


class Leases(Protocol):
    """Where the lease is kept."""

    def call(self, ask: Ask) -> Answer:
        """Carry out a call; raise LeaseUnreachable when its outcome is not known."""


def now_s(speed: float) -> float:
    """Return the time by which leases are counted here, in lease seconds."""
    return time.clock_gettime(_CLOCK) * speed


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to write, as it was when it was asked for."""

    authority: Authority
    speed: float

    @property
    def epoch(self) -> int:
        """Return the epoch to write in."""
        return self.authority.epoch

    def remaining_s(self) -> float:
        """Return for how many more seconds it is good; not positive when it is over."""
        return (self.authority.until_s - now_s(self.speed)) / self.speed


class Keeper:
    """Keeps this process's leave to write while its region holds the lease."""

    def __init__(
        self, leases: Leases, region: str, *, may_found: Callable[[], bool], speed: float = 1.0
    ) -> None:
        """Keep it for `region`. `may_found` tells whether the region's database takes writes.

        With `speed` 10 the lease lasts a tenth as long, for everybody who shares it.
        """
        self._leases: Final = leases
        self._holder: Final = Holder(region)
        self._may_found: Final = may_found
        self._speed: Final = speed
        self._authority = NONE
        self._stopping = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; what is left of the lease stays good, for it is the region's."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_S)

    def permit(self) -> Permit:
        """Return the leave to write as it is now, over or not."""
        return Permit(self._authority, self._speed)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._ask()
            wait_s = (self._holder.next_s - now_s(self._speed)) / self._speed
            self._stopping.wait(max(0.0, wait_s))

    def _ask(self) -> None:
        ask = self._holder.ask(may_found=self._may_found())
        asked_s = now_s(self._speed)
        answer: Answer | None = None
        try:
            answer = self._leases.call(ask)
        except LeaseUnreachable as failure:
            log.warning("the write lease could not be renewed", exc_info=failure)
        except Exception:
            # Whatever else goes wrong, a thread that ended would be a region that stops writing.
            log.exception("the write lease could not be read")
        self._holder.hear(ask, asked_s, answer)
        self._note(self._holder.authority)

    def _note(self, authority: Authority) -> None:
        if authority.epoch > self._authority.epoch:
            log.info("this region holds the write lease in epoch %d", authority.epoch)
        elif authority.epoch < self._authority.epoch:
            log.info("this region does not hold the write lease any more")
        self._authority = authority


class Alone:
    """Leave to write where there is no other region, and so nobody to share with."""

    def start(self) -> None:
        """Begin nothing."""

    def stop(self) -> None:
        """End nothing."""

    def permit(self) -> Permit:
        """Return leave to write that never ends."""
        return Permit(UNSHARED, 1.0)

"""Time as recovery counts it: seconds that a simulation may divide, and moments to write down.

It is separate because every wait has to go through it: where time runs faster, leases do too, and
where it does not, nothing may be waited for shorter than AWS needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from evertill.recovery.errors import StepFailed

# A machine that sleeps must not believe that no time has passed.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
POLL_INTERVAL_S: Final = 0.25


class Pace:
    """A clock whose seconds pass `speed` times as fast as the machine's."""

    def __init__(self, speed: float = 1.0) -> None:
        """Count so; 1 wherever AWS itself answers."""
        self.speed: Final = speed

    def now_s(self) -> float:
        """Return the time since some moment."""
        return time.clock_gettime(_CLOCK) * self.speed

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        time.sleep(max(0.0, seconds / self.speed))

    def until(
        self,
        condition: Callable[[], bool],
        what: str,
        timeout_s: float,
        say: Callable[[], str] = lambda: "",
    ) -> float:
        """Wait for a condition, polling; return how long. Raise StepFailed, with `say`, if in vain.

        The condition may raise: what it raises ends the wait.
        """
        begun_s = self.now_s()
        while not condition():
            if self.now_s() - begun_s > timeout_s:
                told = say()
                message = f"{what} did not come within {timeout_s:.0f} s{told and f': {told}'}."
                raise StepFailed(f"{message} Run the same command again to go on from there.")
            time.sleep(POLL_INTERVAL_S)
        return self.now_s() - begun_s


def moment() -> str:
    """Return this moment, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def between_s(one: str, other: str) -> float:
    """Return the machine's seconds from one moment to another."""
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()

"""The twin's time, which may run faster than the wall's: `--speed 10` makes a minute six seconds.

It is separate because intervals, periods, cooldowns and time-to-live all must be divided by the
same number, while work takes as long as it takes. All of them are told in *twin seconds*, as the
templates write them, and only this module knows how long these are.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

SPEED_MAX: Final = 60.0


class Clock:
    """Twin seconds since the clock was made, and the moments that they stand for.

    It counts on the monotonic clock, so that a jump of the machine's clock moves nothing here.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """Let `speed` twin seconds pass in each second of the machine."""
        self.speed: Final = speed
        self._origin_s: Final = time.monotonic()
        self._epoch_s: Final = time.time()

    def now_s(self) -> float:
        """Return the twin seconds since the start."""
        return (time.monotonic() - self._origin_s) * self.speed

    def epoch_s(self) -> float:
        """Return the moment in twin time as seconds since 1970: what metrics are stamped with."""
        return self._epoch_s + self.now_s()

    def moment(self) -> datetime:
        """Return the moment in twin time, in UTC."""
        return datetime.fromtimestamp(self.epoch_s(), UTC)

    def real_s(self, twin_s: float) -> float:
        """Return how long `twin_s` twin seconds take on this machine."""
        return twin_s / self.speed

    async def sleep(self, twin_s: float) -> None:
        """Wait for `twin_s` twin seconds."""
        await asyncio.sleep(self.real_s(twin_s))

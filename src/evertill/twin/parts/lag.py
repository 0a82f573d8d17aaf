"""How far a copy is behind its writer, in seconds of commits rather than in bytes.

It is separate because it is pure: the writer's position is noted from time to time, and a copy that
has received up to there has every commit from before that time. It works across a cut, when neither
end can ask the other, and it measures receipt: what was received is not lost with the writer.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

# Two hours of samples, one a second: longer than any cut that is still of interest.
SAMPLES_MAX: Final = 7_200


class Sample(NamedTuple):
    """Where the writer was at a moment."""

    at_s: float
    position: int


class LagMeter:
    """The positions of one writer over time."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    @property
    def position(self) -> int:
        """Return the last known position of the writer; 0 before there is one."""
        return self._samples[-1].position if self._samples else 0

    def note(self, at_s: float, position: int) -> None:
        """Note where the writer is."""
        self._samples.append(Sample(at_s, position))

    def forget(self) -> None:
        """Begin anew: another writer's positions do not compare with those of the one before."""
        self._samples.clear()

    def lag_s(self, received: int, now_s: float) -> float:
        """Return for how long a copy that has `received` so much has missed something.

        0 when it has all that was there at the last sample; as long as we know when it has nothing.
        """
        missed: float | None = None
        for sample in reversed(self._samples):
            if sample.position <= received:
                break
            missed = sample.at_s
        return 0.0 if missed is None else max(0.0, now_s - missed)

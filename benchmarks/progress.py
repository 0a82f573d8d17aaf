"""Progress on standard error, so that standard output holds the figures and nothing else."""

from __future__ import annotations

import sys
import time
from typing import Final

_BEGAN_S: Final = time.monotonic()


def say(sentence: str) -> None:
    """Print a line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN_S:5.0f} s] {sentence}", file=sys.stderr, flush=True)

"""Processor time: who used how much of the machine between two moments.

Read from /proc, so that measuring costs next to nothing; where there is no /proc, the figures are
missing rather than guessed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_IDLE: Final = slice(3, 5)
_COUNTED: Final = slice(0, 8)


class Moment(NamedTuple):
    """Seconds of processor time so far, of each part and of the whole machine."""

    at_s: float
    load_s: float
    service_s: float
    postgres_s: float
    machine_s: float


class Usage(NamedTuple):
    """Processor time per payment of each part, and the share of the machine that others took."""

    load_us: float
    service_us: float
    postgres_us: float
    others_share: float


def read(workers: Iterable[int], postmaster: int) -> Moment:
    """Read the clocks of this process, of the service's workers and of PostgreSQL."""
    return Moment(
        time.monotonic(),
        time.process_time(),
        sum(_process_s(pid) for pid in workers),
        _process_s(postmaster, reaped=True) + sum(_process_s(pid) for pid in _children(postmaster)),
        _machine_s(),
    )


def between(before: Moment, after: Moment, payments: int) -> Usage:
    """Return what was used between two moments in which so many payments were taken."""
    load, service, postgres = (after[part] - before[part] for part in range(1, 4))
    elapsed_s = (after.at_s - before.at_s) * (os.cpu_count() or 1)
    others_s = after.machine_s - before.machine_s - load - service - postgres
    per_payment = 1e6 / max(payments, 1)
    return Usage(
        round(load * per_payment, 1),
        round(service * per_payment, 1),
        round(postgres * per_payment, 1),
        round(max(0.0, others_s / elapsed_s), 3),
    )


def _process_s(pid: int, *, reaped: bool = False) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    ticks = fields[11:15] if reaped else fields[11:13]
    return sum(map(int, ticks)) / _TICKS_PER_S


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, (_PROC / f"{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def _machine_s() -> float:
    try:
        fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    ticks = list(map(int, fields))
    return (sum(ticks[_COUNTED]) - sum(ticks[_IDLE])) / _TICKS_PER_S

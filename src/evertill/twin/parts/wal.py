"""Positions in the write-ahead log, and moving its files between those who hold a copy.

It is separate because it is where an acknowledged commit is or is not: a promotion takes the
longest log among the survivors, and this module compares logs and carries one over.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

SEGMENT_BYTES: Final = 16 * 1024 * 1024
SEGMENTS_PER_ID: Final = 0x1_0000_0000 // SEGMENT_BYTES
SEGMENT_NAME: Final = re.compile(r"^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?$")
HISTORY_NAME: Final = re.compile(r"^[0-9A-F]{8}\.history$")
_PAGE_BYTES: Final = 8192


class Segment(NamedTuple):
    """One file of a log; a partial one is still being received."""

    timeline: int
    number: int
    path: Path

    @property
    def name(self) -> str:
        """Return the name that a server knows it by."""
        high, low = divmod(self.number, SEGMENTS_PER_ID)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def position(text: str) -> int:
    """Return a position as PostgreSQL writes it (`16/B374D848`) as a number of bytes."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(number: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def segments(folder: Path) -> list[Segment]:
    """Return the files of the log in `folder`, the oldest first."""
    found = []
    for path in folder.iterdir():
        parts = SEGMENT_NAME.match(path.name)
        if parts is not None:
            timeline, high, low = (int(part, 16) for part in parts.groups()[:3])
            found.append(Segment(timeline, high * SEGMENTS_PER_ID + low, path))
    return sorted(found)


def end_of(folder: Path) -> int:
    """Return the position up to which `folder`, a receiver's, holds the log; 0 for nothing.

    A receiver fills the rest of its last file with zeros, and no record begins with one, so the
    last byte that is none lies in the last record. That is short of its end by its closing zeros at
    most, and beyond the end of every record before it.
    """
    found = segments(folder)
    if not found:
        return 0
    last = found[-1]
    start = last.number * SEGMENT_BYTES
    if not last.path.name.endswith(".partial"):
        return start + SEGMENT_BYTES
    return start + _used_bytes(last.path)


def carry_over(source: Path, target: Path, after: int, own: Callable[[Path], None]) -> int:
    """Copy the log in `source` from the file that holds position `after` on into `target`.

    `target` is the log of a server that is stopped. Return how many files were copied; 0 means that
    the two do not meet, because `source` begins later.
    """
    wanted = [item for item in segments(source) if item.number >= after // SEGMENT_BYTES]
    if not wanted or wanted[0].number > after // SEGMENT_BYTES:
        return 0
    for path in source.iterdir():
        if HISTORY_NAME.match(path.name):
            _copy(path, target / path.name, own)
    for segment in wanted:
        _copy(segment.path, target / segment.name, own)
    return len(wanted)


def trim(folder: Path, segments_max: int) -> None:
    """Delete the oldest files of a receiver's log beyond a number of them."""
    for segment in segments(folder)[:-segments_max]:
        segment.path.unlink(missing_ok=True)


def _copy(source: Path, target: Path, own: Callable[[Path], None]) -> None:
    draft = target.with_name(f"{target.name}.copied")
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    own(draft)
    draft.rename(target)


def _used_bytes(path: Path) -> int:
    with path.open("rb") as file:
        size = path.stat().st_size
        for start in range(size - size % _PAGE_BYTES, -1, -_PAGE_BYTES):
            file.seek(start)
            used = len(file.read(_PAGE_BYTES).rstrip(b"\0"))
            if used:
                return start + used
    return 0

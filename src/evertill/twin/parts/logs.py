"""Follows what containers write: metric filters see every line, and no file grows for ever.

It is separate from the containers because a metric filter belongs to a log group, which several of
them write to, and because it must never be what a container waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from evertill.twin.clock import Clock
from evertill.twin.log_patterns import Line, selected
from evertill.twin.plan.log_filters import FilterSpec

# In twin time, so that a line counts in its own minute; but never more often than this.
ROUND_S: Final = 2.0
PAUSE_MIN_S: Final = 0.2
READ_MAX_BYTES: Final = 8 * 1024 * 1024
# A file is put aside at this size, and what was put aside before is deleted.
FILE_MAX_BYTES: Final = 64 * 1024 * 1024

Dimensions = tuple[tuple[str, str], ...]


class Written(Protocol):
    """A task, as its logs need to be known."""

    def logs(self) -> Iterable[tuple[str, Path]]:
        """Give the log group and the file of each container."""


class Publish(Protocol):
    """Takes a value that occurred several times."""

    def __call__(
        self,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        *,
        times: int,
        dimensions: Dimensions,
    ) -> None:
        """Publish it."""


class Logs:
    """The logs of a region's containers, which is a Part."""

    def __init__(
        self,
        region: str,
        filters: Sequence[FilterSpec],
        tasks: Callable[[], Iterable[Written]],
        publish: Publish,
        clock: Clock,
    ) -> None:
        """Follow the files of `tasks`, those that have ended a while ago included."""
        self._region: Final = region
        self._tasks: Final = tasks
        self._publish: Final = publish
        self._clock: Final = clock
        self._filters: dict[str, list[FilterSpec]] = defaultdict(list)
        for spec in filters:
            self._filters[spec.log_group].append(spec)
        self._read_to: dict[Path, int] = {}
        self._lines = 0
        self._loop: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return its name as a part."""
        return f"{self._region}/logs"

    async def start(self) -> None:
        """Begin to follow."""
        self._loop = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop

    def status(self) -> dict[str, Any]:
        """Return how many lines were read."""
        return {"files": len(self._read_to), "lines": self._lines}

    async def look(self) -> None:
        """Read what was written since the last look, and publish what it comes to."""
        found: dict[int, tuple[FilterSpec, Counter[tuple[float, Dimensions]]]] = {}
        seen: set[Path] = set()
        for task in self._tasks():
            for group, file in task.logs():
                seen.add(file)
                written = self._new_lines(file)
                self._lines += len(written)
                lines = [Line(line) for line in written] if group in self._filters else []
                for spec in self._filters.get(group, ()):
                    _count(spec, lines, found.setdefault(id(spec), (spec, Counter()))[1])
                await asyncio.sleep(0)  # Between files others get their turn.
        self._read_to = {file: at for file, at in self._read_to.items() if file in seen}
        for spec, counted in found.values():
            for (value, dimensions), times in counted.items():
                self._publish(
                    spec.region,
                    spec.namespace,
                    spec.metric,
                    value,
                    spec.unit,
                    times=times,
                    dimensions=dimensions,
                )

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(max(PAUSE_MIN_S, self._clock.real_s(ROUND_S)))
            await self.look()

    def _new_lines(self, file: Path) -> list[bytes]:
        """Return the whole lines that are new in a file; the next look gets the rest."""
        at = self._read_to.get(file, 0)
        try:
            with file.open("rb") as opened:
                opened.seek(at)
                text = opened.read(READ_MAX_BYTES)
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        if not whole and len(text) == READ_MAX_BYTES:
            whole = text  # A line longer than any log's is no line.
        self._read_to[file] = at + len(whole)
        if at + len(whole) > FILE_MAX_BYTES:
            # Whoever writes appends, so it goes on at the beginning.
            shutil.copyfile(file, file.with_suffix(".old"))
            os.truncate(file, 0)
            self._read_to[file] = 0
        return whole.splitlines()


def _count(
    spec: FilterSpec, lines: Sequence[Line], found: Counter[tuple[float, Dimensions]]
) -> None:
    matched = 0
    for line in lines:
        if not spec.pattern.matches(line):
            continue
        value = _value(spec.value, line.record)
        if value is not None:
            matched += 1
            dimensions = tuple(
                (name, str(selected(selector, line.record)))
                for name, selector in spec.dimensions.items()
            )
            found[value, dimensions] += 1
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
    if lines and not matched and spec.default is not None:
        found[spec.default, ()] += 1


def _value(told: str, record: Any) -> float | None:  # noqa: ANN401 - any JSON
    text = selected(told, record) if told.startswith("$") else told
    try:
        return float(text) if isinstance(text, str | int | float) else None
    except ValueError:
        return None

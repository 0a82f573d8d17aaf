"""What lines of logs count as: metric filters, and metrics that a line carries in itself.

It follows the files into which tasks and functions write, each for its log group, and publishes
what the templates' filters and CloudWatch's embedded metric format say:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Alarms may hang on a line of a log, such as which region takes writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from evertill.twin import log_patterns
from evertill.twin.clock import Clock
from evertill.twin.part import Metrics
from evertill.twin.plan.storage import MetricFilterSpec

INTERVAL_S: Final = 1.0
# Of one file at one look; the rest is read at the next ones.
READ_MAX_BYTES: Final = 1024 * 1024
# A file is put aside at this size, and what was put aside before is lost.
FILE_MAX_BYTES: Final = 64 * 1024 * 1024
FILES_MAX: Final = 1_000
VALUES_MAX: Final = 100
EMBEDDED: Final = "_aws"


class _File:
    """A file that is followed, and how far it was read."""

    def __init__(self, path: Path, group: str) -> None:
        self.path = path
        self.group = group
        self.position = path.stat().st_size if path.exists() else 0
        self.rest = b""


class LogMetrics:
    """The filters of one region, and the files that they look at."""

    def __init__(
        self, region: str, specs: Iterable[MetricFilterSpec], clock: Clock, metrics: Metrics
    ) -> None:
        """Read the patterns; raise PatternUnknown for one that cannot be read."""
        self._region: Final = region
        self._clock: Final = clock
        self._metrics: Final = metrics
        self._filters: Final = [(spec, log_patterns.parse(spec.pattern)) for spec in specs]
        self._files: Final[dict[Path, _File]] = {}
        self._following: asyncio.Task[None] | None = None
        self._lines = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/logs/metrics"

    async def start(self) -> None:
        """Begin to follow."""
        self._following = asyncio.create_task(self._follow_for_ever())

    async def stop(self) -> None:
        """Stop following."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    def status(self) -> dict[str, Any]:
        """Return how many files are followed and how many lines were read."""
        return {"files": len(self._files), "filters": len(self._filters), "lines": self._lines}

    def follow(self, group: str, path: Path) -> None:
        """Follow a file from its present end on, as a stream of a log group."""
        if path not in self._files and len(self._files) < FILES_MAX:
            self._files[path] = _File(path, group)

    def forget(self, path: Path) -> None:
        """Read a file to its end and follow it no more."""
        file = self._files.pop(path, None)
        if file is not None:
            self._read(file)

    def take(self, group: str, line: str) -> None:
        """Take one line of a log group."""
        self._lines += 1
        fields = log_patterns.fields_of(line)
        for spec, matches in self._filters:
            if spec.log_group == group and matches(line, fields):
                self._publish(spec, fields)
        if fields is not None and isinstance(fields.get(EMBEDDED), dict):
            self._publish_embedded(fields)

    async def _follow_for_ever(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            for file in tuple(self._files.values()):
                self._read(file)

    def _read(self, file: _File) -> None:
        try:
            size = file.path.stat().st_size
            if size < file.position:
                # It was begun anew.
                file.position, file.rest = 0, b""
            if size == file.position:
                return
            with file.path.open("rb") as log:
                log.seek(file.position)
                data = log.read(READ_MAX_BYTES)
        except OSError:
            return
        file.position += len(data)
        if file.position > FILE_MAX_BYTES:
            # Whoever writes appends, and goes on at the beginning.
            shutil.copyfile(file.path, file.path.with_suffix(".old"))
            os.truncate(file.path, 0)
            file.position = 0
        *lines, file.rest = (file.rest + data).split(b"\n")
        for line in lines:
            self.take(file.group, line.decode(errors="replace"))

    def _publish(self, spec: MetricFilterSpec, fields: log_patterns.Fields | None) -> None:
        text = spec.value
        if text.startswith("$."):
            text = str(log_patterns.field(fields or {}, text.removeprefix("$.")))
        with contextlib.suppress(ValueError):
            self._metrics.put(self._region, spec.namespace, spec.metric, float(text), spec.unit)

    def _publish_embedded(self, fields: log_patterns.Fields) -> None:
        for directive in _dicts(fields[EMBEDDED].get("CloudWatchMetrics")):
            sets = directive.get("Dimensions") or [[]]
            for metric in _dicts(directive.get("Metrics")):
                name, unit = str(metric.get("Name")), str(metric.get("Unit", "None"))
                found = fields.get(name)
                values = found if isinstance(found, list) else [found]
                for value in values[:VALUES_MAX]:
                    if isinstance(value, bool) or not isinstance(value, int | float):
                        continue
                    for names in sets:
                        dimensions = {key: str(fields[key]) for key in names if key in fields}
                        self._metrics.put(
                            self._region,
                            str(directive.get("Namespace")),
                            name,
                            float(value),
                            unit,
                            **dimensions,
                        )


def _dicts(listed: object) -> list[dict[str, Any]]:
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []

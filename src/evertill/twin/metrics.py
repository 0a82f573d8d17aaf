"""What CloudWatch would hold: every value that a part published, by metric and by time.

It is separate from the alarms, which only ask, and from the parts, which only put. Values are kept
in buckets of three widths, the finer the shorter, so that memory is bounded by the number of
metrics and not by the time that a twin runs. A bucket keeps how often each value occurred, rounded
to what an alarm can tell apart, because percentiles cannot be made of averages.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from evertill.twin.clock import Clock

# Width in seconds and how many buckets of it: half an hour, three hours, two days.
TIERS: Final = ((10, 180), (60, 180), (3_600, 48))
METRICS_MAX: Final = 10_000
# Three significant digits are 900 values a decade.
DIGITS: Final = 3
PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
STATISTICS: Final = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")

Dimensions = tuple[tuple[str, str], ...]


class MetricId(msgspec.Struct, frozen=True):
    """A metric of one region; two with other dimensions are two metrics, as in CloudWatch."""

    region: str
    namespace: str
    name: str
    dimensions: Dimensions = ()


class Bucket(msgspec.Struct):
    """What was published in one stretch of time."""

    count: int = 0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    values: dict[float, int] = msgspec.field(default_factory=dict)

    def add(self, value: float, times: int = 1) -> None:
        """Take in a value."""
        self.count += times
        self.total += value * times
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        rounded = _rounded(value)
        self.values[rounded] = self.values.get(rounded, 0) + times

    def merge(self, other: Bucket) -> None:
        """Take in another bucket."""
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        for value, times in other.values.items():
            self.values[value] = self.values.get(value, 0) + times

    def statistic(self, name: str) -> float:
        """Return a statistic or a percentile such as `p99`; the bucket must not be empty."""
        match name:
            case "Average":
                return self.total / self.count
            case "Sum":
                return self.total
            case "Minimum":
                return self.minimum
            case "Maximum":
                return self.maximum
            case "SampleCount":
                return float(self.count)
        return self._percentile(float(name.removeprefix("p")))

    def _percentile(self, percent: float) -> float:
        rank = percent / 100 * self.count
        seen = 0
        for value, times in sorted(self.values.items()):
            seen += times
            if seen >= rank:
                # Rounding must not tell more than was ever measured.
                return min(max(value, self.minimum), self.maximum)
        return self.maximum


def is_statistic(name: str) -> bool:
    """Tell whether the store can compute it."""
    return name in STATISTICS or PERCENTILE.fullmatch(name) is not None


class MetricStore:
    """All metrics of all regions."""

    def __init__(self, clock: Clock) -> None:
        """Stamp what is put by `clock`."""
        self._clock: Final = clock
        self._series: dict[MetricId, list[OrderedDict[int, Bucket]]] = {}
        self._units: dict[MetricId, str] = {}
        self._refused = 0

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        **dimensions: str,
    ) -> None:
        """Publish one value now."""
        key = MetricId(region, namespace, name, tuple(sorted(dimensions.items())))
        self.add(key, value, unit, self._clock.epoch_s())

    def add(self, metric: MetricId, value: float, unit: str, at_s: float, times: int = 1) -> None:
        """Publish a value, or the same one several times, for a moment."""
        if metric not in self._series:
            if len(self._series) >= METRICS_MAX:
                self._refused += 1
                return
            self._series[metric] = [OrderedDict() for _ in TIERS]
        self._units[metric] = unit
        for (width, kept), buckets in zip(TIERS, self._series[metric], strict=True):
            start = int(at_s) // width * width
            if start not in buckets:
                buckets[start] = Bucket()
            buckets[start].add(value, times)
            while len(buckets) > kept:
                buckets.popitem(last=False)

    def window(self, metric: MetricId, start_s: float, end_s: float) -> Bucket | None:
        """Return what was published from `start_s` to before `end_s`, None when nothing was."""
        series = self._series.get(metric)
        if series is None:
            return None
        age_s = self._clock.epoch_s() - start_s
        # The finest tier that reaches back far enough; the coarsest for what is older than all.
        tier = next(
            (i for i, (width, kept) in enumerate(TIERS) if age_s <= width * (kept - 1)),
            len(TIERS) - 1,
        )
        found = Bucket()
        for start, bucket in series[tier].items():
            if start_s <= start < end_s:
                found.merge(bucket)
        return found if found.count else None

    def values(
        self, metric: MetricId, statistic: str, period_s: int, end_s: float, periods: int
    ) -> list[float | None]:
        """Return the statistic of the last periods before `end_s`, the oldest first."""
        windows = (
            self.window(metric, end_s - (i + 1) * period_s, end_s - i * period_s)
            for i in reversed(range(periods))
        )
        return [found.statistic(statistic) if found else None for found in windows]

    def known(self, region: str) -> Iterator[tuple[MetricId, str]]:
        """Give every metric of a region and its unit."""
        return ((key, unit) for key, unit in self._units.items() if key.region == region)

    def unit(self, metric: MetricId) -> str:
        """Return the unit that a metric was last published in."""
        return self._units.get(metric, "None")

    def status(self) -> dict[str, int]:
        """Return how many metrics there are, and how many values found no place."""
        return {"metrics": len(self._series), "refused": self._refused}


def dimensions_of(listed: list[Mapping[str, str]]) -> Dimensions:
    """Return dimensions as the API and the templates list them."""
    return tuple(sorted((item["Name"], item["Value"]) for item in listed))


def _rounded(value: float) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))

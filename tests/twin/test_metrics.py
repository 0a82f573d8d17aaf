"""The store of metrics: statistics, windows, and memory that does not grow with time."""

from __future__ import annotations

import pytest

from evertill.twin.clock import Clock
from evertill.twin.metrics import TIERS, MetricId, MetricStore

METRIC = MetricId("us-east-1", "App", "Latency", (("Service", "pay"),))


@pytest.fixture
def store() -> MetricStore:
    return MetricStore(Clock())


def test_statistics_and_percentiles_are_those_of_the_values(store: MetricStore) -> None:
    end_s = store._clock.epoch_s() // 60 * 60
    for value in range(1, 101):
        store.add(METRIC, value, "Milliseconds", end_s - 30)
    expected = {"Average": 50.5, "Sum": 5050.0, "Minimum": 1.0, "Maximum": 100.0}
    expected |= {"SampleCount": 100.0, "p50": 50.0, "p99": 99.0, "p99.9": 100.0}
    found = {name: store.values(METRIC, name, 60, end_s, 1)[0] for name in expected}
    assert expected == found


def test_periods_without_values_are_missing_and_not_zero(store: MetricStore) -> None:
    end_s = store._clock.epoch_s() // 60 * 60
    store.add(METRIC, 5, "Count", end_s - 90)
    assert [None, 5.0, None] == store.values(METRIC, "Sum", 60, end_s, 3)


def test_a_metric_with_other_dimensions_is_another_metric(store: MetricStore) -> None:
    store.put("us-east-1", "App", "Latency", 1, "Count", Service="pay", Zone="a")
    assert store.window(METRIC, 0, store._clock.epoch_s() + 60) is None


def test_memory_is_bounded_and_a_day_is_still_told(store: MetricStore) -> None:
    now_s = store._clock.epoch_s()
    for minute in range(24 * 60):
        store.add(METRIC, 1.0, "Count", now_s - 24 * 3600 + minute * 60)
    kept = [len(buckets) for buckets in store._series[METRIC]]
    assert all(length <= bound for length, (_, bound) in zip(kept, TIERS, strict=True))
    day = store.window(METRIC, now_s - 25 * 3600, now_s + 60)
    assert day is not None
    assert 24 * 60 == day.count

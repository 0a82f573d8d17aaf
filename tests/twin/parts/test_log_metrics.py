"""Lines of logs become metrics: by a template's filter, and by what a line carries in itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.twin import REGION, until

from evertill.twin.clock import Clock
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.certificates import CertificateExpiry
from evertill.twin.parts.log_metrics import LogMetrics
from evertill.twin.plan.storage import MetricFilterSpec

GROUP = "/pay/service"
WRITABLE = MetricFilterSpec(
    region=REGION,
    log_group=GROUP,
    pattern='{ $.message = "This region takes writes." }',
    namespace="Pay",
    metric="RegionWritable",
    value="1",
)
SIZE = MetricFilterSpec(
    region=REGION,
    log_group=GROUP,
    pattern="{ $.size > 10 }",
    namespace="Pay",
    metric="Size",
    value="$.size",
)


@pytest.fixture
def store() -> MetricStore:
    return MetricStore(Clock(speed=60))


def total(store: MetricStore, metric: MetricId) -> float | None:
    found = store.window(metric, 0, store._clock.epoch_s() + 60)
    return found.total if found else None


def test_a_filter_counts_the_lines_of_its_group_only(store: MetricStore) -> None:
    logs = LogMetrics(REGION, [WRITABLE, SIZE], store._clock, store)
    line = json.dumps({"message": "This region takes writes."})
    logs.take(GROUP, line)
    logs.take("/another", line)
    logs.take(GROUP, json.dumps({"size": 42}))
    logs.take(GROUP, "no JSON at all")
    assert 1.0 == total(store, MetricId(REGION, "Pay", "RegionWritable"))
    assert 42.0 == total(store, MetricId(REGION, "Pay", "Size"))


def test_a_line_may_carry_its_metrics_in_itself(store: MetricStore) -> None:
    logs = LogMetrics(REGION, [], store._clock, store)
    directive = {
        "Namespace": "Pay",
        "Dimensions": [["service"], []],
        "Metrics": [{"Name": "Declined", "Unit": "Count"}],
    }
    line = {"_aws": {"CloudWatchMetrics": [directive]}, "service": "v", "Declined": [1.0, 2.0]}
    logs.take(GROUP, json.dumps(line))
    logs.take(GROUP, '{"_aws": {"CloudWatchMetrics": "broken"}}')
    assert 3.0 == total(store, MetricId(REGION, "Pay", "Declined", (("service", "v"),)))
    assert 3.0 == total(store, MetricId(REGION, "Pay", "Declined"))


def test_a_file_is_followed_from_its_end_on_and_over_a_new_beginning(
    tmp_path: Path, store: MetricStore
) -> None:
    path = tmp_path / "task.log"
    line = json.dumps({"size": 11}) + "\n"
    path.write_text(line)

    async def story() -> float | None:
        metric = MetricId(REGION, "Pay", "Size")
        logs = LogMetrics(REGION, [SIZE], store._clock, store)
        logs.follow(GROUP, path)
        await logs.start()
        with path.open("a") as log:
            log.write(line[:5])
            log.flush()
            await until(lambda: logs._files[path].rest != b"")
            log.write(line[5:])
        await until(lambda: total(store, metric) == 11.0)
        path.write_text("")
        await until(lambda: logs._files[path].position == 0)
        path.write_text(line)
        await until(lambda: total(store, metric) == 22.0)
        await logs.stop()
        return total(store, metric)

    assert 22.0 == asyncio.run(story())


def test_a_certificates_days_are_published_at_once(store: MetricStore) -> None:
    async def story() -> None:
        part = CertificateExpiry(REGION, ["arn:c"], lambda _: 395.0, store._clock, store)
        await part.start()
        await part.stop()

    asyncio.run(story())
    metric = MetricId(
        REGION, "AWS/CertificateManager", "DaysToExpiry", (("CertificateArn", "arn:c"),)
    )
    assert 395.0 == total(store, metric)

"""Scaling holds a service within its bounds and lets it follow what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from tests.twin.services import Stage, service_spec, stage, web
from tests.twin.tasks import REGION, WEB, until

from evertill.twin.clock import Clock
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.meter import Meter
from evertill.twin.parts.scaling import Scaling, Suspended, readings_of
from evertill.twin.plan.scaling import PolicySpec, ScalingSpec

# It keeps a processor busy.
BUSY = "setInterval(() => { const end = Date.now() + 50; while (Date.now() < end); }, 60);"
BY_CPU = PolicySpec(
    name="cpu",
    namespace="AWS/ECS",
    metric="CPUUtilization",
    statistic="Average",
    dimensions={},
    target=50.0,
    out_cooldown_s=60.0,
    in_cooldown_s=300.0,
)


class Book:
    """Takes what is published, and gives the values of the last minutes that a test sets."""

    def __init__(self) -> None:
        self.put_values: list[tuple[str, str, float, str, dict[str, str]]] = []
        self.minutes: list[float | None] = []

    def put(
        self, region: str, namespace: str, name: str, value: float, unit: str, **dimensions: str
    ) -> None:
        assert REGION == region
        self.put_values.append((namespace, name, value, unit, dimensions))

    def read(
        self, region: str, policy: PolicySpec, end_s: float, minutes: int
    ) -> list[float | None]:
        assert (REGION, "cpu") == (region, policy.name)
        assert end_s % 60 == 0
        return self.minutes[-minutes:]

    def published(self, name: str) -> set[float]:
        return {value for _, found, value, _, _ in self.put_values if found == name}


def told(
    folder: Path, story: Callable[[Stage, Scaling, Book], Awaitable[None]], count: int = 2
) -> None:
    async def run() -> None:
        spec = service_spec(count)
        async with stage(folder, spec) as found:
            book = Book()
            scaling = Scaling(
                ScalingSpec(spec, 2, 6, (BY_CPU,)),
                found.service,
                book.read,
                found.bench.clock,
                found.timeline,
            )
            try:
                await story(found, scaling, book)
            finally:
                await scaling.stop()

    asyncio.run(run())


def test_a_count_below_the_floor_is_raised_at_once_and_a_higher_floor_raises_it_again(
    tmp_path: Path,
) -> None:
    async def story(found: Stage, scaling: Scaling, book: Book) -> None:
        await scaling.start()
        assert 2 == found.service.count
        scaling.set_bounds(3, 6)
        await until(lambda: len(found.service.running) == 3, "three tasks")
        scaling.set_bounds(1, 2)
        assert 2 == found.service.count
        assert [2, 3, 2] == [activity.count for activity in scaling.activities]
        assert [] == book.put_values

    told(tmp_path, story, count=1)


def test_tasks_come_after_the_cooldown_only_and_go_never_during_a_release(tmp_path: Path) -> None:
    async def story(found: Stage, scaling: Scaling, book: Book) -> None:
        await found.steady()
        book.minutes = [100.0] * 15
        scaling.evaluate()
        scaling.evaluate()
        assert 4 == found.service.count, "the second came within the cooldown"
        await found.bench.clock.sleep(61)
        scaling.evaluate()
        assert 6 == found.service.count
        book.minutes = [5.0] * 15
        scaling.evaluate()
        assert 6 == found.service.count, "nothing goes within the cooldown"

    told(tmp_path, story)


def test_what_is_suspended_does_not_scale(tmp_path: Path) -> None:
    async def story(found: Stage, scaling: Scaling, book: Book) -> None:
        await found.steady()
        scaling.suspended = Suspended(scaling_out=True)
        book.minutes = [100.0] * 15
        scaling.evaluate()
        assert 2 == found.service.count

    told(tmp_path, story)


def test_a_minute_passes_and_the_policy_is_followed(tmp_path: Path) -> None:
    async def story(found: Stage, scaling: Scaling, book: Book) -> None:
        await found.steady()
        book.minutes = [100.0] * 15
        await scaling.start()
        await until(lambda: len(found.service.running) == 4, "four tasks")

    told(tmp_path, story)


def test_a_policy_reads_the_minutes_of_its_metric_from_the_store() -> None:
    clock = Clock()
    store = MetricStore(clock)
    policy = msgspec.structs.replace(BY_CPU, dimensions={"ServiceName": "web", "ClusterName": "a"})
    end_s = clock.epoch_s() // 60 * 60
    metric = MetricId(
        REGION, "AWS/ECS", "CPUUtilization", (("ClusterName", "a"), ("ServiceName", "web"))
    )
    for value, ago_s in ((10.0, 90), (30.0, 80), (80.0, 30)):
        store.add(metric, value, "Percent", end_s - ago_s)
    assert [None, 20.0, 80.0] == readings_of(store)(REGION, policy, end_s, 3)


def test_what_ecs_publishes_is_measured(tmp_path: Path) -> None:
    async def run() -> None:
        spec = service_spec(1, task=web(1, WEB + BUSY))
        async with stage(tmp_path, spec) as found:
            await found.steady()
            book = Book()
            meter = Meter(found.service, book, found.bench.clock)
            await meter.publish()
            await asyncio.sleep(1)
            await meter.publish()
            (first, second) = sorted(book.published("CPUUtilization"))
            assert first < 1
            assert second > 20
            assert {1.0} == book.published("RunningTaskCount")
            assert {1.0} == book.published("DesiredTaskCount")
            assert {0.0} == book.published("PendingTaskCount")
            assert {"ClusterName": "main", "ServiceName": "web"} == book.put_values[0][-1]
            assert meter.status()["memory_mib"] > 10

    asyncio.run(run())


def test_a_service_without_tasks_publishes_nothing(tmp_path: Path) -> None:
    async def story(found: Stage, scaling: Scaling, book: Book) -> None:
        del scaling
        await found.steady()
        await Meter(found.service, book, found.bench.clock).publish()
        assert [] == book.put_values

    told(tmp_path, story, count=0)


def test_where_tasks_are_capped_each_stands_for_several(tmp_path: Path) -> None:
    async def run() -> None:
        async with stage(tmp_path, service_spec(10, count_max=2)) as found:
            await found.steady()
            book = Book()
            await Meter(found.service, book, found.bench.clock).publish()
            assert ({10.0}, {10.0}) == (
                book.published("RunningTaskCount"),
                book.published("DesiredTaskCount"),
            )

    asyncio.run(run())

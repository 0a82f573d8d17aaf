"""What containers write becomes metrics, and no file grows for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.assembly import shared_assembly
from tests.twin.tasks import REGION

from evertill.assembly import Reference
from evertill.twin.clock import Clock
from evertill.twin.log_patterns import Pattern
from evertill.twin.parts import logs as module
from evertill.twin.parts.logs import Dimensions, Logs
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.log_filters import FilterSpec
from evertill.twin.plan.plan import SymbolicBindings, plan_of
from evertill.twin.plan.reading import read_model

ERRORS = FilterSpec(
    region=REGION,
    log_group="/app",
    pattern=Pattern("{ $.status >= 500 }"),
    namespace="App",
    metric="Errors",
    value="1",
    default=0.0,
)
LATENCY = FilterSpec(
    region=REGION,
    log_group="/app",
    pattern=Pattern("{ $.ms > 0 }"),
    namespace="App",
    metric="Latency",
    value="$.ms",
    unit="Milliseconds",
    dimensions={"Route": "$.route"},
)


class Writer:
    """A container that writes to a file."""

    def __init__(self, file: Path, group: str = "/app") -> None:
        self.file = file
        self.group = group

    def logs(self) -> Iterator[tuple[str, Path]]:
        yield self.group, self.file

    def write(self, *lines: str, end: str = "\n") -> None:
        with self.file.open("a") as opened:
            opened.write("\n".join(lines) + end)


class Published:
    def __init__(self) -> None:
        self.values: list[tuple[str, float, str, int, Dimensions]] = []

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
        assert (REGION, "App") == (region, namespace)
        self.values.append((name, value, unit, times, dimensions))

    def taken(self) -> list[tuple[str, float, str, int, Dimensions]]:
        values, self.values = self.values, []
        return values


def following(
    *writers: Writer, filters: tuple[FilterSpec, ...] = (ERRORS,)
) -> tuple[Logs, Published]:
    published = Published()
    return Logs(REGION, filters, lambda: writers, published, Clock()), published


def test_lines_are_counted_once_and_a_line_is_whole_before_it_counts(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "web.log")
    logs, published = following(writer)
    asyncio.run(logs.look())
    assert [] == published.taken()
    writer.write('{"status":500}', '{"status":200}', '{"status":503}')
    writer.write('{"status":', end="")
    asyncio.run(logs.look())
    assert [("Errors", 1.0, "None", 2, ())] == published.taken()
    writer.write("500}")
    asyncio.run(logs.look())
    assert [("Errors", 1.0, "None", 1, ())] == published.taken()
    asyncio.run(logs.look())
    assert [] == published.taken(), "nothing new is no line"


def test_where_lines_come_and_none_matches_the_default_is_published(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "web.log")
    logs, published = following(writer)
    writer.write('{"status":200}')
    asyncio.run(logs.look())
    assert [("Errors", 0.0, "None", 1, ())] == published.taken()


def test_a_value_and_its_dimensions_come_from_the_line(tmp_path: Path) -> None:
    writer, other = Writer(tmp_path / "web.log"), Writer(tmp_path / "other.log", "/other")
    logs, published = following(writer, other, filters=(LATENCY,))
    for each in (writer, other):
        each.write('{"ms":2.5,"route":"/a"}', '{"ms":2.5,"route":"/a"}', '{"ms":4,"route":"/b"}')
    asyncio.run(logs.look())
    assert [
        ("Latency", 2.5, "Milliseconds", 2, (("Route", "/a"),)),
        ("Latency", 4.0, "Milliseconds", 1, (("Route", "/b"),)),
    ] == published.taken()
    assert {"files": 2, "lines": 6} == logs.status()


def test_a_file_that_has_grown_large_is_put_aside_and_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_MAX_BYTES", 20)
    writer = Writer(tmp_path / "web.log")
    logs, published = following(writer)
    writer.write('{"status":500}', '{"status":500}')
    asyncio.run(logs.look())
    assert 0 == writer.file.stat().st_size
    assert 30 == (tmp_path / "web.old").stat().st_size
    writer.write('{"status":500}')
    asyncio.run(logs.look())
    assert [2, 1] == [times for _, _, _, times, _ in published.taken()]


def test_the_filters_of_our_templates_are_understood_and_our_containers_write_to_their_group(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    model = read_model(shared_assembly(tmp_path_factory, "dev").folder)
    plan = plan_of(model, SymbolicBindings(model))
    groups = {service.task.containers[0].log_group for service in plan.services}
    assert plan.log_filters
    assert {spec.log_group for spec in plan.log_filters} <= groups


def test_a_log_group_without_a_name_has_one_here_too() -> None:
    foreign = Path(__file__).parents[1] / "assemblies" / "foreign"
    model = read_model(foreign)
    named = Bindings(model).text(Reference("AppPrimary", "Logs"))
    plan = plan_of(model, SymbolicBindings(model))
    assert named == plan.services[0].task.containers[0].log_group

"""A report splits the recovery time by the journal's moments, and says what nobody noted."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.recovery.worlds import DEV, NEW, changed, lost_world, position, world

from evertill.recovery.journal import FILE, Journal, Line, begin
from evertill.recovery.plan import make_plan
from evertill.recovery.regions import Reports
from evertill.recovery.report import make, write
from evertill.recovery.timeline import Bar, draw


def at(second: float) -> str:
    return f"2026-11-23T03:00:{second:06.3f}Z"


def run(tmp_path: Path, lines: list[Line], *, is_lost: bool = False) -> Journal:
    snapshot = world()
    kind = "failover" if is_lost else "switchover"
    if is_lost:
        seen = position(is_writable=False, behind_s=9.0, commit_at="2026-11-23T02:59:51+00:00")
        snapshot = changed(lost_world(), NEW, position=seen)
    plan = make_plan("failover" if kind == "failover" else "switchover", NEW, snapshot, DEV)
    journal = begin(tmp_path, plan)
    (journal.folder / FILE).unlink()
    return Journal(journal.folder, plan, lines)


STORY = [
    Line(at(0), "started"),
    Line(at(1), "begun", "fence"),
    Line(at(2.5), "done", "fence"),
    Line(at(2.5), "begun", "database"),
    Line(at(6.5), "done", "database"),
    Line(at(6.5), "begun", "writable"),
    Line(at(7), "done", "writable"),
    Line(at(9), "fact", "", "", {"ready_at": at(9)}),
    Line(at(9.5), "fact", "", "", {"first_success_at": at(9.5), "payment_id": "pay_1"}),
    Line(at(15), "fact", "", "", {"steady_at": at(10)}),
    Line(at(16), "ended"),
]


def parts(journal: Journal, speed: float = 1.0) -> dict[str, float | None]:
    return {part.name: part.seconds for part in make(journal, Reports(), speed).parts}


def test_a_switchover_stops_payments_from_the_fence_to_the_first_success(tmp_path: Path) -> None:
    journal = run(tmp_path, STORY)
    assert 8.5 == make(journal, Reports(), 1.0).rto_s
    assert {
        "detect": None,
        "decide": None,
        "fence": 1.5,
        "promote": 4.0,
        "route": 2.5,
        "first success": 0.5,
        "back to 99 %": 0.5,
    } == parts(journal)


def test_a_failover_counts_from_the_last_commit_that_arrived(tmp_path: Path) -> None:
    journal = run(tmp_path, STORY, is_lost=True)
    assert 18.5 == make(journal, Reports(), 1.0).rto_s
    assert 9.0 == parts(journal)["decide"]


def test_where_time_runs_faster_its_seconds_are_counted(tmp_path: Path) -> None:
    assert 15.0 == parts(run(tmp_path, STORY), speed=10.0)["fence"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_report_is_written_for_people_programs_and_eyes(tmp_path: Path, *, is_lost: bool) -> None:
    reports = Reports()
    reports.add(NEW, "describe_global_clusters", "sent again: Throttling")
    written = write(run(tmp_path, STORY, is_lost=is_lost), reports, 1.0)
    folder = written.path.parent
    told = json.loads((folder / "report.json").read_text())
    assert json.loads(written.document) == told
    assert "ended" == told["state"]
    markdown = written.path.read_text()
    assert "| promote |" in markdown
    assert "sent again: Throttling" in markdown
    assert ("at most in payments: 90" in markdown) == is_lost
    chart = ET.fromstring((folder / "timeline.svg").read_text())  # noqa: S314 - our own file
    assert chart.tag.endswith("svg")


def test_a_run_that_failed_has_a_report_as_far_as_it_came(tmp_path: Path) -> None:
    journal = run(tmp_path, [*STORY[:4], Line(at(3), "failed", "database", "RDS gave it up.")])
    written = write(journal, Reports(), 1.0)
    assert "is not finished" in written.summary
    assert "not known" in written.path.read_text()


def test_names_in_a_chart_are_text_and_no_markup() -> None:
    chart = ET.fromstring(draw("a < b & c", [Bar("<script>", 0.0, 0.0)]))  # noqa: S314 - our own
    assert "<script>" in "".join(chart.itertext())


def test_a_chart_of_nothing_is_a_chart() -> None:
    assert draw("empty", []).startswith("<svg")

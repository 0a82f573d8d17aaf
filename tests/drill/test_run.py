"""A whole drill on a small ground: a file is read, done, judged and told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.drill.small_ground import SmallGround
from tests.faults.world import Supervised, own_cluster
from tests.support.service import create_merchant

from evertill.domain.rules import MerchantTerms
from evertill.drill.display import WIDTH, markdown, table
from evertill.drill.files import Drill, read_drill
from evertill.drill.report import Report
from evertill.drill.run import run_drill

PLENTY = MerchantTerms(payments_per_s_max=100_000)
FILE = """
title = "A worker and the database killed"
before_s = 2
after_s = 6
aws_adds = ["failover"]

[workload]
observers = ["active", "public"]
payments_per_s = 20
patience_s = 60

[[steps]]
name = "worker"
fault = "kill-worker"
parameters = { place = 0 }

[[steps]]
wait_s = 1
fault = "kill-database"

[[steps]]
undo = "all"

[[steps]]
until = "steady"

[[steps]]
count_lost = true

[bounds]
lost = 0
duplicates = 0
unbalanced = 0
failed_requests = 0
"""
# What the issue names for scripts.
PROMISED = {
    "rto_s",
    "rto_parts",
    "rpo_s",
    "lost",
    "lost_unlisted",
    "lost_amounts",
    "duplicates",
    "unbalanced",
    "dual_writer_ms",
    "phantoms",
    "availability",
    "longest_gap_s",
    "latencies",
    "alarms",
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallGround]:
    """Give a service with two workers and a database that may be killed."""
    folder = tmp_path_factory.mktemp("small")
    with own_cluster() as (cluster, database):
        merchant = create_merchant(database, PLENTY)
        service = Supervised(database, folder, workers=2, log_folder=str(folder / "log"))
        with service.running():
            yield SmallGround(service, cluster, database, merchant)


def report_of(drill: Drill, ground: SmallGround, folder: Path) -> Report:
    """Run a drill."""
    return asyncio.run(run_drill(drill, "small", ground, folder, print))


@pytest.mark.slow
def test_a_drill_is_done_judged_and_told(ground: SmallGround, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(FILE)
    report = report_of(read_drill(file), ground, tmp_path)
    assert (True, "", [], []) == (
        report.is_passed,
        report.failure,
        report.broken,
        report.violations,
    )
    assert report.figures.keys() >= PROMISED
    assert report.figures["rto_s"] > 1
    assert {"before", "during", "after"} == report.figures["latencies"].keys()
    told = [step.label for step in report.steps]
    assert ["worker", "kill-database", "undo all", "until steady", "count what is lost"] == told
    again = msgspec.json.decode(msgspec.json.encode(report.as_dict()), type=Report)
    text = table(again)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "Aurora promotes a reader" in " ".join(text.split())
    assert "| [small](" in markdown([again])


def test_a_step_that_cannot_be_done_fails_the_drill_and_is_told(
    ground: SmallGround, tmp_path: Path
) -> None:
    file = tmp_path / "small.toml"
    file.write_text("title = 'x'\nbefore_s = 1\nafter_s = 1\n[[steps]]\nfault = 'flood'\n")
    report = report_of(read_drill(file), ground, tmp_path)
    assert (False, "There is no fault 'flood'.") == (report.is_passed, report.failure)
    assert [] == report.violations
    assert "There is no fault 'flood'." in table(report)


def test_a_bound_that_is_broken_fails_the_drill(ground: SmallGround, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    bounds = "[bounds]\nrequests = 1\n[at_least]\navailability = 0.5\n"
    file.write_text(f"title = 'x'\nbefore_s = 1\nafter_s = 1\n{bounds}")
    report = report_of(read_drill(file), ground, tmp_path)
    assert ["requests"] == [each.figure for each in report.broken]
    assert not report.is_passed

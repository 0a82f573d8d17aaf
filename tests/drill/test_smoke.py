"""Three of the shipped drills on one fast twin: a task killed, the writer killed, a switchover.

Their bounds are meant at speed 1; here it counts that nothing is lost, taken twice or unbalanced,
that every invariant holds, and that the platform comes back.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from tests.support.assembly import shared_assembly

from evertill.drill.files import FOLDER, read_drill
from evertill.drill.ground import Ground
from evertill.drill.own_twin import own_twin, until_steady
from evertill.drill.report import Report
from evertill.drill.run import run_drill

# Two whole regions take all of a small machine: `make test-drills` runs this one alone.
ALONE = "EVERTILL_TEST_DRILLS"
pytestmark = [
    pytest.mark.skipif(not os.environ.get(ALONE), reason="`make test-drills` runs it alone"),
    pytest.mark.timeout(400),
]
SPEED = 5.0
DRILLS = ("task-killed", "writer-killed", "switchover")
LOAD = {"payments_per_s": 10.0, "retries_max": 100, "patience_s": 60.0}
# What takes as long as it takes is not bounded here: a test is no measurement.
KEPT = {"lost", "duplicates", "unbalanced", "phantoms", "dual_writer_ms", "failed_requests"}


async def report_of(name: str, ground: Ground, folder: Path) -> Report:
    """Run a shipped drill with the bounds that hold at any speed."""
    drill = read_drill(FOLDER / f"{name}.toml")
    bounds = {figure: bound for figure, bound in drill.bounds.items() if figure in KEPT}
    load = msgspec.structs.replace(drill.workload, **LOAD)
    drill = msgspec.structs.replace(drill, bounds=bounds, workload=load, after_s=60)
    await until_steady(ground)
    return await run_drill(drill, name, ground, folder, print)


def test_a_task_the_writer_and_a_region_change_cost_no_payment(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    assembly = shared_assembly(tmp_path_factory, "dev")
    for name in DRILLS:
        (tmp_path / name).mkdir()

    async def story() -> list[Report]:
        async with own_twin(assembly.folder, speed=SPEED, tasks=2) as ground:
            return [await report_of(name, ground, tmp_path / name) for name in DRILLS]

    reports = asyncio.run(story())
    for report in reports:
        assert ([], [], "") == (report.violations, report.broken, report.failure), report.drill
        assert report.figures["rto_99_s"] < 60
    assert all(report.figures["requests"] > 50 for report in reports)

"""A journal is on disk before anything follows from it; a kill within a line leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recovery.worlds import AT, DEV, NEW, OLD, world

from evertill.recovery.errors import RecoveryRuns
from evertill.recovery.evaluate import Left
from evertill.recovery.journal import (
    FILE,
    alone,
    begin,
    keep_left,
    measured_s,
    read_left,
    unfinished,
)
from evertill.recovery.plan import Plan, make_plan

PLAN = make_plan("switchover", NEW, world(), DEV)


def test_a_run_is_found_as_it_was_left(tmp_path: Path) -> None:
    journal = begin(tmp_path, PLAN)
    journal.write("begun", "capacity")
    journal.note(floor=3)
    journal.write("done", "capacity", "3 tasks run")
    journal.write("begun", "fence")
    found = unfinished(tmp_path)
    assert found is not None
    assert (journal.plan, {"floor": 3}) == (found.plan, found.facts)
    assert {"capacity"} == found.done
    assert found.has_begun("fence")
    assert not found.has_begun("database")


def test_what_a_kill_left_of_a_line_is_no_line_and_is_not_continued(tmp_path: Path) -> None:
    journal = begin(tmp_path, PLAN)
    journal.write("done", "capacity")
    with (journal.folder / FILE).open("ab") as file:
        file.write(b'{"at":"2026-11-23T02:40')
    found = unfinished(tmp_path)
    assert found is not None
    found.write("done", "fence")
    again = unfinished(tmp_path)
    assert again is not None
    assert {"capacity", "fence"} == again.done


@pytest.mark.parametrize("event", ["ended", "superseded"])
def test_a_run_that_ended_is_not_gone_on_with(tmp_path: Path, event: str) -> None:
    begin(tmp_path, PLAN).write("ended" if event == "ended" else "superseded")
    assert unfinished(tmp_path) is None


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {begin(tmp_path, PLAN).folder for _ in range(3)}
    assert 3 == len(folders)


def test_two_do_not_change_the_world_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(RecoveryRuns), alone(tmp_path):
        pass


def test_the_next_plan_knows_how_long_the_last_run_took(tmp_path: Path) -> None:
    journal = begin(tmp_path, PLAN)
    journal.note(steps_s={"database": 4.5})
    assert {} == measured_s(tmp_path, "switchover")
    journal.write("ended")
    assert {"database": 4.5} == measured_s(tmp_path, "switchover")
    assert {} == measured_s(tmp_path, "failover")


def test_how_a_run_left_the_world_is_remembered(tmp_path: Path) -> None:
    assert read_left(tmp_path) is None
    left = Left(at=AT, kind="failover", writer=OLD, floor=3)
    keep_left(tmp_path, left)
    assert left == read_left(tmp_path)


def test_a_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    found: Plan | None = None
    begin(tmp_path, PLAN)
    journal = unfinished(tmp_path)
    if journal is not None:
        found = journal.plan
    assert PLAN == found


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    journal = begin(tmp_path, PLAN)
    journal.note(floor=3, before=1)
    lines = len(journal.lines)
    journal.note(floor=3)
    assert lines == len(journal.lines)
    journal.note(floor=4, before=1)
    assert {"floor": 4} == journal.lines[-1].facts

"""Where a log ends, how it is carried over, and how far behind a copy is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertill.twin.parts import wal
from evertill.twin.parts.lag import LagMeter

FIRST, SECOND = "000000010000000000000001", "000000010000000000000002"
SEGMENT = wal.SEGMENT_BYTES


def fill(folder: Path, name: str, used: bytes) -> None:
    with (folder / name).open("wb") as file:
        file.write(used)
        file.truncate(SEGMENT)


@given(st.integers(0, 2**64 - 1))
def test_a_position_reads_back_as_it_was_written(number: int) -> None:
    assert number == wal.position(wal.written(number))


def test_an_empty_folder_holds_no_log(tmp_path: Path) -> None:
    assert 0 == wal.end_of(tmp_path)


@pytest.mark.parametrize("used", [1, 8191, 8192, 8193, 100_000, SEGMENT])
def test_a_received_log_ends_with_its_last_byte(tmp_path: Path, used: int) -> None:
    fill(tmp_path, FIRST, b"x" * SEGMENT)
    fill(tmp_path, f"{SECOND}.partial", b"x" * used)
    assert 2 * SEGMENT + used == wal.end_of(tmp_path)


def test_a_finished_file_counts_whole(tmp_path: Path) -> None:
    fill(tmp_path, FIRST, b"x")
    assert 2 * SEGMENT == wal.end_of(tmp_path)


def test_a_log_is_carried_over_from_the_file_that_the_other_is_in(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    fill(source, FIRST, b"first")
    fill(source, f"{SECOND}.partial", b"second")
    (source / "00000002.history").write_text("history")
    owned: list[Path] = []
    assert 1 == wal.carry_over(source, target, 2 * SEGMENT + 3, owned.append)
    assert {SECOND, "00000002.history"} == {path.name for path in target.iterdir()}
    assert (target / SECOND).read_bytes().startswith(b"second")
    assert 2 == len(owned)


def test_logs_that_do_not_meet_are_not_mixed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    fill(source, f"{SECOND}.partial", b"second")
    assert 0 == wal.carry_over(source, target, SEGMENT, lambda _: None)
    assert [] == list(target.iterdir())


def test_a_receiver_keeps_the_newest_files(tmp_path: Path) -> None:
    for number in range(1, 6):
        fill(tmp_path, f"00000001000000000000000{number}", b"x")
    wal.trim(tmp_path, 2)
    assert [4, 5] == [segment.number for segment in wal.segments(tmp_path)]


@pytest.mark.parametrize(
    ("received", "lag_s"), [(300, 0.0), (299, 2.0), (200, 2.0), (150, 12.0), (0, 22.0)]
)
def test_lag_is_the_age_of_the_oldest_commit_that_was_not_received(
    received: int, lag_s: float
) -> None:
    meter = LagMeter()
    for at_s, position in ((10.0, 100), (20.0, 200), (30.0, 300)):
        meter.note(at_s, position)
    assert lag_s == meter.lag_s(received, 32.0)


def test_a_standing_writer_leaves_nobody_behind() -> None:
    meter = LagMeter()
    for at_s in range(100):
        meter.note(float(at_s), 500)
    assert 0.0 == meter.lag_s(500, 1_000.0)
    meter.forget()
    assert 0.0 == meter.lag_s(0, 1_000.0)

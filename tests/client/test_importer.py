"""`evertill import`: every line is answered once, however the service, the disk or we fail."""

from __future__ import annotations

import csv
import json
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest

HEADER = "reference,amount,currency,source\n"


def write(path: Path, count: int, *, reference: bool = True) -> Path:
    rows = (f"{f'r{n}' if reference else ''},1.00,USD,tok_{n}\n" for n in range(count))
    path.write_text(HEADER + "".join(rows))
    return path


def access(stand_in: Any) -> tuple[str, ...]:
    return ("--url", stand_in.url, "--key", stand_in.key)


def rejects_of(path: Path) -> list[dict[str, str]]:
    with path.with_name(f"{path.name}.rejects.csv").open() as stream:
        return list(csv.DictReader(stream))


def left_beside(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def test_a_file_is_taken_in_full_batches_and_leaves_nothing_beside_it(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "f.csv", 6_500)
    figures = shell.figures("import", str(path), *access(stand_in))
    assert tuple(figures[name] for name in ("lines", "taken", "replayed", "rejected")) == (
        6_500,
        6_500,
        0,
        0,
    )
    assert figures["sums"] == {"USD": {"amount_minor": 650_000, "amount": "6500.00"}}
    assert (stand_in.calls, stand_in.largest_batch) == (7, 1_000)
    assert 1 < stand_in.concurrent_max <= 4
    assert left_beside(path) == []


def test_a_second_run_is_all_replays(stand_in: Any, shell: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", 1_500, reference=False)
    assert shell.figures("import", str(path), *access(stand_in))["taken"] == 1_500
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["taken"], figures["replayed"], figures["sums"]) == (0, 1_500, {})


def test_equal_lines_without_a_reference_are_two_payments_and_with_one_a_retry(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.csv"
    path.write_text(HEADER + ",5.00,USD,tok_1\n" * 2 + "r,5.00,USD,tok_1\n" * 2)
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["taken"], figures["replayed"]) == (3, 1)


@pytest.mark.parametrize("distance", [1, 2_500])
def test_of_lines_that_share_a_reference_the_first_counts(
    stand_in: Any, shell: Any, tmp_path: Path, distance: int
) -> None:
    path = write(tmp_path / "f.csv", distance)
    with path.open("a") as stream:
        stream.write("r0,2.00,USD,tok_0\n")
    figures = shell.figures("import", str(path), *access(stand_in))
    assert ({"key_reused": 1}, distance) == (figures["rejects"], figures["taken"])
    assert [str(distance + 2)] == [row["line"] for row in rejects_of(path)]
    assert stand_in.answers["r0"][1]["amount"] == 100


def test_rejects_name_line_and_reason_and_hold_no_card_number(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.csv"
    lines = [
        b"a,1.00,USD,4111 1111 1111 1111",
        b"4111111111111111,1.00,USD,tok_1",
        b"b,4111111111111111,USD,tok_1",
        b"c,1.00,USD,tok_\xff",
        b"=d,1.105,USD,tok_secret",
        b"e,1.00,USD,tok_1",
        b"f,1.00,USD,tok_" + b"x" * 70_000,
    ]
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n".join(lines))
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["taken"], figures["rejected"]) == (1, 6)
    rows = rejects_of(path)
    assert [(row["line"], row["code"], row["reference"]) for row in rows] == [
        ("2", "invalid_source", "a"),
        ("3", "card_number_refused", "[digits]"),
        ("4", "invalid_amount", "b"),
        ("5", "not_utf8", ""),
        ("6", "invalid_amount", "'=d"),
        ("8", "line_too_long", ""),
    ]
    text = path.with_name("f.csv.rejects.csv").read_text()
    assert "411111" not in text
    assert "tok_" not in text


def test_declined_payments_are_counted_apart(stand_in: Any, shell: Any, tmp_path: Path) -> None:
    stand_in.decide = lambda item: "source_blocked" if item["source"] == "tok_3" else None
    path = write(tmp_path / "f.csv", 10)
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["taken"], figures["declined"], figures["rejected"]) == (9, 1, 0)
    assert figures["declines"] == {"source_blocked": 1}


def test_one_payment_that_spoils_its_call_costs_no_neighbour(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    stand_in.poison = "tok_1234"
    path = write(tmp_path / "f.csv", 2_000)
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["taken"], figures["rejects"]) == (1_999, {"invalid_request": 1})
    assert [row["line"] for row in rejects_of(path)] == ["1236"]


def test_faults_in_the_middle_lose_and_double_nothing(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    faults = "drop_after 503 drop_before 429 key_in_flight 504 outcome_unknown unavailable"
    stand_in.faults.extend(faults.split())
    path = write(tmp_path / "f.csv", 8_000)
    figures = shell.figures("import", str(path), *access(stand_in))
    assert 8_000 == figures["taken"] + figures["replayed"] == len(stand_in.answers)
    assert stand_in.captured_minor() == {"USD": 800_000}


def test_bodies_stay_below_a_mebibyte(stand_in: Any, shell: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    item = {"amount": "1.00", "currency": "USD", "source": "t" * 64, "description": "€" * 255}
    with path.open("w") as stream:
        for n in range(3_000):
            stream.write(json.dumps({**item, "reference": f"{n:032}" + "€" * 32}) + "\n")
    figures = shell.figures("import", str(path), *access(stand_in))
    assert figures["taken"] == 3_000
    assert 900_000 < stand_in.largest_body_bytes <= 1024 * 1024


def start_import(shell: Any, path: Path, stand_in: Any, wait_for: int) -> Any:
    """Start an import, and return when the service holds `wait_for` payments and it recorded so."""
    process = shell.start("import", str(path), *access(stand_in))
    progress = path.with_name(f"{path.name}.progress.json")
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        if len(stand_in.answers) >= wait_for and progress.exists():
            break
        time.sleep(0.005)
    return process


def test_a_killed_import_goes_on_where_it_was(stand_in: Any, shell: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", 60_000, reference=False)
    with path.open("a") as stream:
        stream.writelines(["x,-1,USD,tok\n"] * 10)
    text = path.read_text().splitlines(keepends=True)
    # A reject early in the file must be there once, although its chunk may be sent twice.
    text.insert(500, "early,-1,USD,tok\n")
    path.write_text("".join(text))
    with start_import(shell, path, stand_in, 25_000) as process:
        process.send_signal(signal.SIGKILL)
    assert len(stand_in.answers) < 60_000
    assert (tmp_path / "f.csv.progress.json").exists()
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["lines"], figures["rejected"]) == (60_011, 11)
    assert 60_000 == figures["taken"] + figures["replayed"] == len(stand_in.answers)
    assert figures["resumed_after_line"] > 0
    assert 11 == len({row["line"] for row in rejects_of(path)}) == len(rejects_of(path))
    assert left_beside(path) == ["f.csv.rejects.csv"]


def test_an_interrupted_import_stops_with_a_sentence_and_goes_on(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "f.csv", 40_000)
    with start_import(shell, path, stand_in, 5_000) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "run the same command again" in err
    assert "Traceback" not in err
    taken = len(stand_in.answers)
    figures = shell.figures("import", str(path), *access(stand_in))
    # What was answered before the interruption was recorded, so nothing is sent twice.
    assert (figures["taken"], figures["replayed"]) == (40_000, 0)
    assert 5_000 <= taken < 40_000


def test_a_changed_file_is_not_gone_on_with(stand_in: Any, shell: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", 60_000)
    with start_import(shell, path, stand_in, 25_000) as process:
        process.send_signal(signal.SIGKILL)
    with path.open("a") as stream:
        stream.write("new,1.00,USD,tok\n")
    done = shell.run("import", str(path), *access(stand_in))
    assert done.returncode == 1
    assert "has changed since" in done.stderr


def test_a_full_disk_stops_the_import_and_the_next_run_has_every_reject_once(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.csv"
    path.write_text(HEADER + "".join(f"r{n},-1,USD,t\nok{n},1,USD,t{n}\n" for n in range(5_000)))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = shell.run("import", str(path), *access(stand_in), preexec_fn=limit)
    assert done.returncode == 1
    assert "rejects.csv: File too large" in done.stderr
    figures = shell.figures("import", str(path), *access(stand_in))
    assert (figures["lines"], figures["rejected"]) == (10_000, 5_000)
    assert [str(2 * n + 2) for n in range(5_000)] == [row["line"] for row in rejects_of(path)]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("f.txt", b"x", "neither .csv nor .ndjson"),
        ("f.csv", b"amount;currency;source\n", "lacks the columns amount, currency, source"),
        ("f.csv", b"amount,source\n1,t\n", "lacks the column currency"),
        ("f.csv", b"amount,amount,currency,source\n", "two columns 'amount'"),
        ("f.csv", b"\xff\xfea\0m\0", "UTF-16"),
        ("f.csv", b"am\xffount\n", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_in_one_line(
    shell: Any, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = shell.run("import", name, "--url", "http://127.0.0.1:9", "--key", "k")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert sentence in done.stderr
    assert [name] == [path.name for path in tmp_path.iterdir()]


def test_missing_files_and_directories_are_told_in_one_line(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for name in ("none.csv", "d.csv"):
        done = shell.run("import", name, "--url", "http://127.0.0.1:9", "--key", "k")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


@pytest.mark.parametrize("content", ["", "\ufeff", HEADER, HEADER.strip(), HEADER + "\r\n\r\n"])
def test_a_file_without_payments_needs_no_call(
    stand_in: Any, shell: Any, tmp_path: Path, content: str
) -> None:
    (tmp_path / "f.csv").write_text(content)
    figures = shell.figures("import", "f.csv", *access(stand_in))
    assert (figures["lines"], stand_in.calls) == (0, 0)


def test_no_service_and_a_wrong_key_leave_nothing_behind(
    stand_in: Any, shell: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "f.csv", 10)
    nobody = shell.run("import", str(path), "--url", "http://127.0.0.1:9", "--key", "k")
    stranger = shell.run("import", str(path), "--url", stand_in.url, "--key", "wrong")
    unsaid = shell.run("import", str(path))
    assert [done.returncode for done in (nobody, stranger, unsaid)] == [1, 1, 1]
    assert "No service answers at http://127.0.0.1:9" in nobody.stderr
    assert "API key" in stranger.stderr
    assert "make up" in unsaid.stderr
    assert left_beside(path) == []

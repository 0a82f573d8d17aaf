"""The sample: the same for the same seed, in the proportions it promises, and streamed."""

from __future__ import annotations

import csv
import json
import sys
import tracemalloc
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evertill.client.encoding import COLUMNS, CsvEncoder, NdjsonEncoder
from evertill.client.lines import CsvParser, Line, NdjsonParser, Reader
from evertill.client.sample import DENOMINATIONS, MERCHANTS, write_sample
from evertill.domain.errors import InvalidRequest

SEED = 20_261_122
COUNT = 40_000


@pytest.fixture(scope="module")
def lines() -> list[str]:
    sys.stdout.write(f"seed {SEED}\n")
    return "".join(write_sample(COUNT, SEED, CsvEncoder())).splitlines()


@pytest.fixture(scope="module")
def rows(lines: list[str]) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(lines) if not row.get(None)]


def test_the_same_seed_gives_the_same_file(lines: list[str]) -> None:
    assert "".join(write_sample(COUNT, SEED, CsvEncoder())).splitlines() == lines
    assert "".join(write_sample(50, SEED + 1, CsvEncoder())).splitlines()[1:] != lines[1:51]


def test_a_sample_has_as_many_lines_as_asked_and_a_header(lines: list[str]) -> None:
    assert ",".join(COLUMNS) == lines[0]
    assert len(lines) == COUNT + 1


def test_one_line_in_a_hundred_is_a_retry(lines: list[str]) -> None:
    repeated = sum(count - 1 for count in Counter(lines).values())
    assert 0.008 < repeated / COUNT < 0.012


def test_one_line_in_two_hundred_is_bad_and_every_defect_is_found(lines: list[str]) -> None:
    rejected = rejects_of(CsvParser(lines[0].encode(), "sample"), lines[1:])
    cards = rejected.pop("card_number_refused")
    bad = sum(rejected.values())
    assert 0.003 < bad / COUNT < 0.006
    # Some of the card numbers are references of digits that only look like one.
    assert 0 < cards / COUNT < 0.008
    assert {
        "invalid_amount",
        "invalid_capture",
        "invalid_reference",
        "invalid_source",
        "malformed_line",
        "unknown_currency",
    } <= set(rejected)


def test_newline_delimited_json_holds_the_same_payments() -> None:
    lines = "".join(write_sample(5_000, SEED, NdjsonEncoder())).splitlines()
    rows = "".join(write_sample(5_000, SEED, CsvEncoder())).splitlines()
    rejected = rejects_of(NdjsonParser(), lines)
    expected = rejects_of(CsvParser(rows[0].encode(), "sample"), rows[1:])
    assert sum(expected.values()) == sum(rejected.values())
    assert json.loads(lines[0])["amount"] == rows[1].split(",")[1]


def rejects_of(parser: Any, lines: list[str]) -> Counter[str]:
    reader = Reader(parser, "digest")
    rejected: Counter[str] = Counter()
    for number, text in enumerate(lines):
        try:
            reader.entry(Line(number, text.encode(), 0, is_whole=True))
        except InvalidRequest as error:
            field = error.fields.get("field")
            is_plain = error.code == "invalid_request"
            rejected[f"invalid_{field}" if is_plain else error.code] += 1
    return rejected


def test_currencies_of_zero_two_and_three_decimals_come_in_their_proportions(
    rows: list[dict[str, str]],
) -> None:
    counts = Counter(row["currency"] for row in rows)
    total = sum(entry.weight for entry in DENOMINATIONS)
    for entry in DENOMINATIONS:
        expected = COUNT * entry.weight / total
        assert 0.8 * expected - 30 < counts[entry.currency] < 1.2 * expected + 30
    decimals = {entry.decimals for entry in DENOMINATIONS if counts[entry.currency]}
    assert {0, 2, 3} == decimals


def test_amounts_are_log_normal_and_merchants_follow_zipf(rows: list[dict[str, str]]) -> None:
    amounts = sorted(
        Decimal(row["amount"])
        for row in rows
        if row["currency"] == "USD" and row["amount"].replace(".", "").isdecimal()
    )
    assert 22 < amounts[len(amounts) // 2] < 26
    # One standard deviation above the median of a log-normal is a factor of e ** 1.1.
    assert 2.8 < amounts[int(len(amounts) * 0.8413)] / amounts[len(amounts) // 2] < 3.2
    merchants = Counter(row["merchant"] for row in rows)
    assert 1.9 < merchants[MERCHANTS[0]] / merchants[MERCHANTS[1]] < 2.4


def test_some_references_are_13_to_19_digits(rows: list[dict[str, str]]) -> None:
    digits = [row["reference"] for row in rows if (row["reference"] or "").isdecimal()]
    assert 0.28 < len(digits) / COUNT < 0.32
    assert set(range(13, 20)) == {len(reference) for reference in digits}


def test_most_sources_seldom_come_back(rows: list[dict[str, str]]) -> None:
    counts = Counter(row["source"] for row in rows)
    assert sum(1 for count in counts.values() if count == 1) / len(counts) > 0.85


def test_memory_does_not_grow_with_the_count() -> None:
    tracemalloc.start()
    peaks = []
    for count in (15_000, 60_000):
        tracemalloc.reset_peak()
        for _ in write_sample(count, SEED, CsvEncoder()):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_the_command_writes_files_and_standard_output_alike(shell: Any, tmp_path: Path) -> None:
    done = shell.run("sample", "--count", "50", "--seed", "7", "--output", "s.ndjson")
    assert done.returncode == 0, done.stderr
    out = shell.run("sample", "--count", "50", "--seed", "7", "--format", "ndjson").stdout
    assert (tmp_path / "s.ndjson").read_text(encoding="utf-8") == out


def test_a_reader_that_has_enough_is_no_error(shell: Any) -> None:
    with shell.start("sample", "--count", "100000") as process:
        assert process.stdout.readline().startswith("reference,")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0

"""Importing into the real service: `service_url_and_key` comes from tests/conftest.py.

The merchant behind the key need not be fresh: every test makes references of its own.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

COUNT = 2_000
COUNT_KILLED = 20_000


@pytest.fixture
def access(service_url_and_key: tuple[str, str]) -> tuple[str, ...]:
    url, key = service_url_and_key
    return ("--url", url, "--key", key)


def sample(shell: Any, name: str, count: int) -> int:
    seed = random.SystemRandom().getrandbits(31)
    sys.stdout.write(f"seed {seed}\n")
    done = shell.run("sample", "--count", str(count), "--seed", str(seed), "--output", name)
    assert done.returncode == 0, done.stderr
    return seed


def count_payments(service_url_and_key: tuple[str, str]) -> int:
    """Count the merchant's payments by listing them all."""
    url, key = service_url_and_key
    count, cursor = 0, None
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
        while True:
            options = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = http.get("/v1/payments", params=options).raise_for_status().json()
            count += len(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return count


def count_keys(path: Path) -> int:
    """Count what the file asks for: each reference once, and each line without one."""
    rejects = path.with_name(f"{path.name}.rejects.csv").read_text().splitlines()[1:]
    rejected = {int(row.split(",")[0]) for row in rejects}
    lines = path.read_text(encoding="utf-8").splitlines()
    asked = [(n, line.split(",")[0]) for n, line in enumerate(lines, start=1)][1:]
    return len({reference or n for n, reference in asked if n not in rejected})


@pytest.mark.parametrize("name", ["sample.csv", "sample.ndjson"])
def test_a_second_import_of_a_sample_is_all_replays(
    shell: Any, access: tuple[str, ...], name: str
) -> None:
    sample(shell, name, COUNT)
    first = shell.figures("import", name, *access)
    assert first["lines"] == COUNT
    assert first["taken"] + first["declined"] + first["replayed"] + first["rejected"] == COUNT
    second = shell.figures("import", name, *access)
    assert (0, 0, first["rejects"]) == (second["taken"], second["declined"], second["rejects"])
    assert COUNT - second["rejected"] == second["replayed"]


def test_an_import_killed_in_the_middle_and_run_again_takes_every_line_once(
    shell: Any, tmp_path: Path, access: tuple[str, ...], service_url_and_key: tuple[str, str]
) -> None:
    path = tmp_path / "sample.csv"
    sample(shell, path.name, COUNT_KILLED)
    progress = tmp_path / "sample.csv.progress.json"
    with shell.start("import", path.name, *access) as process:
        deadline_s = time.monotonic() + 30
        while not progress.exists() and process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert count_payments(service_url_and_key) < COUNT_KILLED // 2
    again = shell.figures("import", path.name, *access)
    assert again["lines"] == COUNT_KILLED
    assert again["resumed_after_line"] > 0
    taken = count_payments(service_url_and_key)
    assert taken == count_keys(path)
    third = shell.figures("import", path.name, *access)
    assert (third["taken"], third["declined"]) == (0, 0)
    assert third["rejects"] == again["rejects"]
    assert count_payments(service_url_and_key) == taken

"""A check that is a line of Python runs in a warm one, and cannot tell the difference."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.twin.tasks import NODE_IMAGE, OUR_IMAGE, bench

ENVIRONMENT = {"GREETING": "hello", "PATH": "/bin:/usr/bin"}


def passes(folder: Path, command: Sequence[str], timeout_s: float = 10.0) -> bool:
    async def run() -> bool:
        image = OUR_IMAGE if command[0] == "python" else NODE_IMAGE
        async with bench(folder) as tools:
            return await tools.checks.passes(
                "check", image, command, ENVIRONMENT, folder=folder, timeout_s=timeout_s
            )

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "is_good"),
    [
        ("import os; assert os.environ['GREETING'] == 'hello'", True),
        ("import os; assert dict(os.environ).get('HOME') is None", True),
        ("import sys; sys.exit(0)", True),
        ("import sys; sys.exit(3)", False),
        ("import sys; sys.exit('sick')", False),
        ("raise ValueError('sick')", False),
        ("this is no Python", False),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", False),
        ("import os; os._exit(0)", True),
    ],
)
def test_a_line_passes_when_it_ends_well(tmp_path: Path, code: str, *, is_good: bool) -> None:
    assert is_good == passes(tmp_path, ["python", "-c", code])


def test_what_a_line_says_is_in_the_log_of_the_container(tmp_path: Path) -> None:
    assert not passes(tmp_path, ["python", "-c", "print('looks'); raise ValueError('bad')"])
    said = (tmp_path / "checks.log").read_text()
    assert "looks" in said
    assert "ValueError: bad" in said


def test_a_line_that_takes_too_long_does_not_pass(tmp_path: Path) -> None:
    assert not passes(tmp_path, ["python", "-c", "import time; time.sleep(60)"], 0.2)


def test_any_other_command_is_a_process_of_its_own(tmp_path: Path) -> None:
    assert passes(tmp_path, ["sh", "-c", "test $GREETING = hello"])
    assert not passes(tmp_path, ["sh", "-c", "exec sleep 60"], 0.2)
    assert not passes(tmp_path, ["no-such-program"])

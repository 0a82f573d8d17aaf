"""Which of the machine's Pythons the environment is made with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap"
USABLE, LACKING, OLD, SLOW = 0, 3, 4, 5


@pytest.fixture
def bootstrap(tmp_path: Path) -> Path:
    scripts = tmp_path / "checkout" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(BOOTSTRAP, scripts)
    return scripts / "bootstrap"


def add_python(directory: Path, name: str, answer: int) -> None:
    """Make a Python that answers the probe with an exit status, and else says where it is."""
    directory.mkdir(exist_ok=True)
    python = directory / name
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit {answer}\necho "$0"\n')
    python.chmod(0o755)


def choose(bootstrap: Path, *directories: Path, python: str = "") -> str:
    path = ":".join(map(str, directories))
    done = subprocess.run(
        ["/bin/sh", str(bootstrap), "runtime"],
        env={"PATH": f"{path}:/nowhere", "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def test_an_optimized_python_is_preferred_to_one_that_comes_before_it(
    bootstrap: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    add_python(first, "python3.13", SLOW)
    add_python(first, "python3.11", SLOW)
    add_python(second, "python3.11", USABLE)
    assert str(second / "python3.11") == choose(bootstrap, first, second)


def test_without_an_optimized_python_the_newest_that_is_usable_is_taken(
    bootstrap: Path, tmp_path: Path
) -> None:
    add_python(tmp_path / "bin", "python3.14", LACKING)
    add_python(tmp_path / "bin", "python3.12", SLOW)
    add_python(tmp_path / "bin", "python3.11", SLOW)
    add_python(tmp_path / "bin", "python", OLD)
    assert str(tmp_path / "bin" / "python3.12") == choose(bootstrap, tmp_path / "bin")


def test_the_python_that_is_named_is_taken_however_slow(bootstrap: Path, tmp_path: Path) -> None:
    add_python(tmp_path / "bin", "python3.12", USABLE)
    add_python(tmp_path / "own", "python3.11", SLOW)
    named = str(tmp_path / "own" / "python3.11")
    assert named == choose(bootstrap, tmp_path / "bin", python=named)

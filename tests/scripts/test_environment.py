"""The environments that the bootstrap makes: what is in each, and that the locks agree."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "environment.py"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;\\]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    """Give the script as a module; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("environment_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(name: str) -> set[tuple[str, str]]:
    found = PIN.findall((ROOT / "requirements" / name).read_text())
    return {(package.lower(), version) for package, version in found}


def test_the_development_environment_can_synthesize(environment: ModuleType) -> None:
    assert set(environment.LOCKS["infra"]) < set(environment.LOCKS["dev"])
    assert set(environment.LOCKS["runtime"]) < set(environment.LOCKS["infra"])


def test_what_runs_in_production_has_nothing_of_the_cdk() -> None:
    assert not [package for package, _ in pins("runtime.txt") if "cdk" in package]


def test_locks_that_are_installed_together_agree(environment: ModuleType) -> None:
    for locks in environment.LOCKS.values():
        versions: dict[str, set[str]] = {}
        for lock in locks:
            for package, version in pins(Path(lock).name):
                versions.setdefault(package, set()).add(version)
        # One package may have a version for each Python, but then in one lock only.
        shared = [p for p in versions if sum(p in dict(pins(Path(k).name)) for k in locks) > 1]
        assert [] == [p for p in shared if len(versions[p]) > 1]


def test_a_changed_lock_makes_every_kind_stale_that_installs_it(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    for lock in {lock for locks in environment.LOCKS.values() for lock in locks}:
        (tmp_path / lock).write_bytes((ROOT / lock).read_bytes())
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    kinds = ("runtime", "infra", "twin", "dev")
    before = {kind: environment.digest(kind) for kind in kinds}
    with (tmp_path / "requirements" / "infra.txt").open("a") as lock:
        lock.write("# changed\n")
    stale = [kind for kind in kinds if environment.digest(kind) != before[kind]]
    assert ["infra", "dev"] == stale


def test_an_unknown_kind_is_answered_with_those_that_there_are() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "production"], capture_output=True, text=True, check=False
    )
    assert 1 == done.returncode
    assert "runtime|infra|twin|dev" in done.stderr

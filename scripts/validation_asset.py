"""Builds the validation function's asset: a folder and a zip of the same, without Docker.

    python -m scripts.validation_asset           for AWS Lambda: Python 3.13 on arm64
    python -m scripts.validation_asset --local   the same content for this machine, for tests

Packages come as wheels, by the hashed lock: for Lambda from the package index, for this machine
from `.venv`, which has the same versions. Of ours it holds what the function imports and no more.
The zip holds no time and no order of this machine, so the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from scripts.environment import CHECKOUT

LOCK: Final = CHECKOUT / "requirements" / "validation.txt"
BUILD: Final = CHECKOUT / "build" / "validation"
ROOMS: Final = ("domain", "validation")
# Of the journal it needs the log's format, and not what relays events out of a database.
JOURNAL: Final = ("__init__.py", "records.py")
PYTHON_VERSION: Final = "3.13"
# Lambda's Python 3.13 runs on Amazon Linux 2023, whose C library is 2.34:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
PLATFORMS: Final = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
ZIP_SIZE_MAX_BYTES: Final = 20 * 1000 * 1000
INSTALL_TIMEOUT_S: Final = 300
# Amazon's authorities for RDS, where the address of the database names them (sslrootcert):
# https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
AUTHORITIES_NAME: Final = "rds-ca.pem"

# Before this a zip can name no time.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
# What an installer writes about itself, and what nobody imports in a function.
_NEEDLESS: Final = re.compile(
    r"(^|/)(__pycache__|bin|tests?)/|\.pyc$|\.dist-info/(?!METADATA$)|\.pyi$|\.c$|\.h$"
)


class AssetError(Exception):
    """The asset could not be built; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Build an asset and print its place, size and digest; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--local", action="store_true", help="for this machine, for tests")
    parser.add_argument("--authorities", type=Path, help="a PEM file to put in as rds-ca.pem")
    options = parser.parse_args(arguments)
    name = "local" if options.local else "lambda"
    try:
        folder = build(BUILD / name, is_local=options.local, authorities=options.authorities)
        archive = pack(folder)
    except AssetError as error:
        print(f"evertill: {error}", file=sys.stderr)
        return 1
    size = archive.stat().st_size
    shown = archive.relative_to(CHECKOUT)
    print(f"{shown}: {size / 1e6:.2f} MB, sha256 {digest(archive)}")
    return 0


def build(folder: Path, *, is_local: bool, authorities: Path | None = None) -> Path:
    """Fill `folder`, anew and at once, and return it; raise AssetError."""
    if authorities is not None and not authorities.is_file():
        raise AssetError(f"There is no file {authorities}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        draft = Path(temporary) / "asset"
        draft.mkdir()
        if is_local:
            copy_installed(draft)
        else:
            install_wheels(draft)
        copy_sources(draft)
        if authorities is not None:
            shutil.copyfile(authorities, draft / AUTHORITIES_NAME)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    return folder


def install_wheels(folder: Path) -> None:
    """Unpack the locked wheels for Lambda; their hashes are checked by pip."""
    with tempfile.TemporaryDirectory() as target:
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        command = [
            *pip_command(), "install", "--target", target, "--requirement", str(LOCK),
            "--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--no-input",
            "--quiet", "--disable-pip-version-check", "--implementation", "cp",
            "--python-version", PYTHON_VERSION, *platforms,
        ]  # fmt: skip
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
        )
        if done.returncode != 0:
            detail = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise AssetError(f"The wheels of {LOCK.name} could not be had: {detail}")
        for path in files(Path(target)):
            put(path, folder / path.relative_to(target))


def pip_command() -> list[str]:
    """Return how to run pip: this environment's, or that of the Python it was made with."""
    for python in (sys.executable, str(Path(sys.base_prefix) / "bin" / "python3")):
        command = [python, "-m", "pip"]
        probe = [*command, "--version"]
        if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
            return command
    raise AssetError("No pip was found; install the package python3-pip and run this again.")


def copy_installed(folder: Path) -> None:
    """Copy the locked packages from this environment, which must have the same versions."""
    for name, version in _PINNED.findall(LOCK.read_text()):
        found = metadata.distribution(name)
        if found.version != version:
            raise AssetError(
                f"{name} is {found.version} here and {version} in {LOCK.name}; run make locks."
            )
        for path in found.files or []:
            if not _NEEDLESS.search(str(path)) and ".." not in path.parts:
                put(Path(str(found.locate_file(path))), folder / path)


def copy_sources(folder: Path) -> None:
    """Copy the rooms that the function is made of."""
    source = CHECKOUT / "src"
    put(source / "evertill" / "__init__.py", folder / "evertill" / "__init__.py")
    ours = [path for room in ROOMS for path in files(source / "evertill" / room)]
    ours += [source / "evertill" / "journal" / name for name in JOURNAL]
    for path in ours:
        put(path, folder / path.relative_to(source))


def files(folder: Path) -> Iterator[Path]:
    """Return what is worth deploying in a folder, in a fixed order."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file() and not _NEEDLESS.search(path.relative_to(folder).as_posix()):
            yield path


def put(source: Path, target: Path) -> None:
    """Copy one file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def pack(folder: Path) -> Path:
    """Zip a folder beside itself and return the zip; raise AssetError when it is too large."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as stream:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Lambda runs as another user than whoever owns the files.
            entry.external_attr = 0o100644 << 16
            stream.writestr(entry, path.read_bytes())
    if archive.stat().st_size > ZIP_SIZE_MAX_BYTES:
        raise AssetError(f"{archive.name} is larger than {ZIP_SIZE_MAX_BYTES / 1e6:.0f} MB.")
    return archive


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

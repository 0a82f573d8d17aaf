"""The PostgreSQL programs and the user that they run as, found once for a whole twin.

It is separate because every instance and every receiver needs the two, and only the quick start's
modules know how they are found (decision 0001): root may not run PostgreSQL, and a program below
root's home may not be reachable for who may.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from evertill.quickstart import binaries
from evertill.quickstart.account import Account, Identity, choose_account
from evertill.twin.processes import inherited

PREFIX: Final = "evertill-twin-"
RECORD: Final = "sockets"


class Programs(NamedTuple):
    """Where the programs are, who runs them, and where the sockets of the servers lie."""

    folder: Path
    account: Account
    sockets: Path
    # What a server, known by its name, gets besides: the variables that let its clock jump.
    clock: Callable[[str], Mapping[str, str]] = lambda _: {}

    @classmethod
    def find(cls, home: Path) -> Self:
        """Find them for data below `home`; raise ServerMissing, DiskFull or ClusterError."""
        account = choose_account(home)
        folder, _ = binaries.runnable_by(account, home)
        found = cls(folder, account, _make_sockets(home))
        account.own(found.sockets)
        return found

    def close(self) -> None:
        """Remove what lies in the temporary directory."""
        shutil.rmtree(self.sockets, ignore_errors=True)

    def path(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)

    def identity(self) -> Identity:
        """Return who runs them."""
        return self.account.identity()

    def environment(self) -> dict[str, str]:
        """Return what they see of our environment: nothing that would change their behaviour."""
        return inherited() | {"LC_ALL": "C", "TZ": "UTC"}

    def server_environment(self, name: str) -> dict[str, str]:
        """Return what a server sees: the same, and a clock of its own."""
        return {**self.environment(), **self.clock(name)}

    def make_folder(self, path: Path) -> None:
        """Make a folder that only their user may read."""
        if not path.is_dir():
            path.mkdir(mode=0o700)
        self.account.own(path)

    def write(self, path: Path, text: str) -> None:
        """Replace a small file that only their user may read, at once."""
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        self.account.own(draft)
        draft.rename(path)


def _make_sockets(home: Path) -> Path:
    """Make a folder for sockets, and remove the one that a killed twin left behind.

    It lies in the temporary directory, because a socket's path may have 107 bytes and a checkout
    may lie deeper than that; so where it is has to be written down.
    """
    record = home / RECORD
    with contextlib.suppress(OSError):
        left = Path(record.read_text())
        if left.name.startswith(PREFIX) and left.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    record.write_text(str(made))
    return made

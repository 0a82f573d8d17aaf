"""Where the state of one embedded cluster lies, and how its directories come to be.

It is separate because the rule "a directory that may hold a real cluster is never deleted" is
kept here, away from processes and signals.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evertill.quickstart.account import UNPRIVILEGED_USER, Account, choose_account
from evertill.quickstart.faults import DataDirectoryUnusable

RELOCATED_ROOT = Path("/var/lib/evertill")
SOCKET_PATH_MAX_BYTES = 103  # macOS allows 104 with the closing NUL, Linux 108
PASSWORD_BYTES = 24
LOG_KEPT_MAX_BYTES = 16 * 1024 * 1024

_LONGEST_SOCKET_NAME = ".s.PGSQL.65535.lock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one cluster: its data, and the files of ours that lie beside the data."""

    data: Path
    account: Account

    @property
    def home(self) -> Path:
        """The directory that holds the data directory."""
        return self.data.parent

    @property
    def draft(self) -> Path:
        """Where a new cluster is made before it is renamed; it never holds anything to keep."""
        return self.data.with_name(f"{self.data.name}.initialising")

    @property
    def lock(self) -> Path:
        """The file whose lock says that an Evertill uses the cluster."""
        return self.data.with_name(f"{self.data.name}.lock")

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def password(self) -> Path:
        """The file that holds the superuser's password, readable by its owner only."""
        return self.data.with_name(f"{self.data.name}.password")

    @property
    def port(self) -> Path:
        """The file that remembers the cluster's port."""
        return self.data.with_name(f"{self.data.name}.port")

    def make_home(self) -> None:
        """Make the directory that holds everything.

        It belongs to the user who called sudo, who will want to start without it, but stays
        root's own where the server runs as `nobody`, who is not to plant links in our way.
        """
        if not self.home.is_dir():
            self.home.mkdir(parents=True)
            self.home.chmod(0o755)
            if self.account.name != UNPRIVILEGED_USER:
                self.account.own(self.home)

    def open_log(self) -> int:
        """Open the log for appending, and return its descriptor."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(self.log, flags, 0o600)
        self.account.own(self.log)
        return descriptor

    def write(self, path: Path, text: str) -> None:
        """Replace the small file `path` at once and for good, readable by its owner only."""
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        self.account.own(draft)
        draft.rename(path)

    def ensure_password(self) -> bool:
        """Make the password file when there is none; tell whether it was made."""
        if self.password.exists() and self.password.read_text().strip():
            return False
        self.write(self.password, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
        return True

    def rotate_log(self) -> None:
        """Keep one earlier log aside once the present one has grown large."""
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_MAX_BYTES:
            self.log.rename(self.log.with_name(f"{self.log.name}.1"))

    def make_socket_directory(self) -> Path:
        """Return a private directory for the server's socket whose path the kernel accepts."""
        beside = self.home / "run"
        if _fits_socket(beside):
            beside.mkdir(exist_ok=True)
            directory = beside
        else:
            directory = Path(tempfile.mkdtemp(prefix="evertill-", dir=_short_temp_root()))
        self.account.own(directory)
        directory.chmod(0o700)
        return directory

    def forget_socket_directory(self, directory: Path) -> None:
        """Remove the socket directory when it was made for one run only."""
        if directory != self.home / "run":
            shutil.rmtree(directory, ignore_errors=True)


def choose_layout(directory: Path, on_progress: Callable[[str], None]) -> Layout:
    """Return the layout of the cluster in `directory`, moved where its user can reach it.

    As root, a checkout below a private home cannot be entered by the server's user. The home
    stays as private as it is: the data then lies under /var/lib/evertill, and `on_progress`
    says so. Raises DataDirectoryUnusable when an earlier start as root put the data there and
    we are not root now, and ClusterError when there is no user to run as.
    """
    data = Path(os.path.abspath(directory))  # noqa: PTH100 - a link stays the user's own choice
    relocated = relocated_home(data) / data.name
    if os.geteuid() != 0:
        if not data.exists() and relocated.exists():
            message = (
                f"The database of this checkout is in {relocated}, where it was made by root. "
                "Run this command as root again, or remove that directory to begin anew."
            )
            raise DataDirectoryUnusable(message, path=str(relocated))
        return Layout(data, choose_account(data))
    account = choose_account(data)
    if account.can_enter(_nearest_existing(data.parent)):
        return Layout(data, account)
    account = choose_account(relocated)
    on_progress(
        f"The database runs as the user {account.name}, who cannot enter {data.parent}; "
        f"its data is kept in {relocated} instead."
    )
    return Layout(relocated, account)


def relocated_home(data: Path) -> Path:
    """Return where the state of `data` lies when the server's user cannot reach it."""
    return RELOCATED_ROOT / hashlib.sha256(os.fsencode(data)).hexdigest()[:16]


def holds_cluster(layout: Layout, on_progress: Callable[[str], None]) -> bool:
    """Tell whether the data directory holds a cluster; set half-made remains aside.

    A cluster has a control file from its first second on. Without one there is nothing to
    recover, but the remains are renamed and not deleted, for we may be wrong. With one and
    without its other parts, the directory is damaged: raises DataDirectoryUnusable.
    """
    data = layout.data
    if not data.exists():
        return False
    if not data.is_dir():
        message = f"{data} is not a directory. Move it away and start again."
        raise DataDirectoryUnusable(message, path=str(data))
    if os.geteuid() not in (0, data.stat().st_uid):
        message = (
            f"The database in {data} belongs to another user. Start Evertill as that user, or "
            "as root, as before."
        )
        raise DataDirectoryUnusable(message, path=str(data))
    parts = [data / "PG_VERSION", data / "base", data / "pg_wal"]
    if (data / "global" / "pg_control").exists():
        missing = [part.name for part in parts if not part.exists()]
        if missing:
            message = (
                f"The database in {data} is damaged: {missing[0]} is missing. Restore it from a "
                "backup, or move the directory away to begin anew; it was left untouched."
            )
            raise DataDirectoryUnusable(message, path=str(data))
        return True
    if any(data.iterdir()):
        aside = _free_name(data)
        data.rename(aside)
        on_progress(
            f"{data} held a half-made database without any data; it was moved to {aside.name} "
            "and a new one is made."
        )
    return False


def publish(layout: Layout) -> None:
    """Rename the finished draft into place, for good."""
    layout.draft.rename(layout.data)
    descriptor = os.open(layout.home, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(data: Path) -> Path:
    """Return a name beside `data` that nothing has."""
    number = 1
    while (aside := data.with_name(f"{data.name}.incomplete-{number}")).exists():
        number += 1
    return aside


def _nearest_existing(directory: Path) -> Path:
    """Return `directory` or its nearest parent that exists."""
    while not directory.exists():
        directory = directory.parent
    return directory


def _fits_socket(directory: Path) -> bool:
    """Tell whether the path of a socket in `directory` is one that the kernel accepts."""
    return len(os.fsencode(directory / _LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES


def _short_temp_root() -> Path:
    """Return the temporary directory, or /tmp where its path is too long for a socket."""
    root = Path(tempfile.gettempdir())
    return root if _fits_socket(root / "evertill-12345678") else Path("/tmp")  # noqa: S108 - short

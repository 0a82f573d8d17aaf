"""The small files of `evertill up` beside the database: secrets, and the service's log.

It is separate so that one place decides who may read them: their owner only, who is the directory's
owner too where root made them on behalf of somebody.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from evertill.quickstart.faults import disk_errors_explained, log_size_bytes

LOG_SIZE_MAX_BYTES: Final = 64 * 1024 * 1024


class State:
    """The directory `.evertill`. Every method raises DiskFull or DataDirectoryUnusable."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when something is first written."""
        self.directory = directory
        self.log = directory / "service.log"
        self.transaction_log = directory / "log"

    def read(self, name: str) -> str | None:
        """Return the text of a file, None when there is no such file."""
        with disk_errors_explained(self.directory):
            try:
                return (self.directory / name).read_text()
            except FileNotFoundError:
                return None

    def write(self, name: str, text: str) -> None:
        """Replace a file at once, readable by its owner only."""
        draft = self.directory / f"{name}.new"
        with disk_errors_explained(self.directory):
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            with os.fdopen(self._open(draft, os.O_EXCL), "w") as stream:
                stream.write(text)
            draft.rename(self.directory / name)

    def open_log(self) -> int:
        """Open the service's log for appending and return its descriptor."""
        with disk_errors_explained(self.directory):
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            return self._open(self.log, os.O_APPEND)

    def bound_log(self) -> None:
        """Set a log that has grown large aside, in place of the one set aside before.

        It is copied and emptied, because the workers keep it open. The lines of the moment between
        the two are lost, which a log of a demonstration may.
        """
        with disk_errors_explained(self.directory):
            if log_size_bytes(self.log) > LOG_SIZE_MAX_BYTES:
                shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
                os.truncate(self.log, 0)

    def _open(self, path: Path, flags: int) -> int:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
        owner = self.directory.stat()
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

"""What an import leaves beside its file: how far it came, and the lines it could not take.

It is separate so that the rule which makes a second run exact is in one place: rejects are written
in the order of the lines and made durable first, then the progress that counts them replaces the
old one at once. A run that is killed in between finds rejects behind its progress and cuts them.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from evertill.client.faults import RecordUnwritable
from evertill.client.totals import Totals
from evertill.domain.cards import holds_card_number, redact

REFERENCE_SHOWN_MAX: Final = 64
HEADER: Final = ("line", "code", "reason", "reference")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Reject(msgspec.Struct, frozen=True):
    """A line that was not taken: why, as a code and a sentence, and its reference if readable."""

    line: int
    code: str
    sentence: str
    reference: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import came: everything up to `line`, which ends at `offset`, is done.

    `digest` recognises the file and `service` the address and key it was sent to.
    """

    digest: str
    service: str
    offset: int
    line: int
    rejects_bytes: int
    totals: Totals


class ProgressFile:
    """The small file `FILE.progress.json`."""

    def __init__(self, path: Path) -> None:
        """Keep the progress of the file of payments at `path`."""
        self.path = path.with_name(f"{path.name}.progress.json")

    def load(self) -> Progress | None:
        """Return what an unfinished run left, None when there is nothing readable."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except (OSError, msgspec.MsgspecError):
            return None

    def save(self, progress: Progress) -> None:
        """Replace the file at once and durably; raise RecordUnwritable when that fails."""
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            with draft.open("wb") as stream:
                stream.write(msgspec.json.encode(progress))
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def remove(self) -> None:
        """Remove the file; raise RecordUnwritable when that fails."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error


class RejectsFile:
    """The side file `FILE.rejects.csv`; it never holds a card number, nor anything of a source."""

    def __init__(self, path: Path, kept_bytes: int) -> None:
        """Open the side file of `path` and keep its first `kept_bytes`.

        It is opened before any payment is sent: raise RecordUnwritable when it cannot be.
        """
        self.path = path.with_name(f"{path.name}.rejects.csv")
        try:
            self._stream = self._open(kept_bytes)
            if not self.size_bytes:
                self._write_rows([HEADER])
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _open(self, kept_bytes: int) -> BinaryIO:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        # Unbuffered: a failed write must not come back as a second error when the file is closed.
        stream = os.fdopen(descriptor, "r+b", buffering=0)
        stream.truncate(min(kept_bytes, os.fstat(descriptor).st_size))
        self.size_bytes = stream.seek(0, os.SEEK_END)
        return stream

    def append(self, rejects: list[Reject]) -> None:
        """Write `rejects`; raise RecordUnwritable when they do not fit."""
        try:
            self._write_rows([_row(reject) for reject in rejects])
        except OSError as error:
            raise unwritable(self.path, error) from error

    def sync(self) -> None:
        """Make what was written durable; raise RecordUnwritable when that fails."""
        try:
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it when it lists nothing."""
        self._stream.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _write_rows(self, rows: list[tuple[str, ...]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        data = memoryview(text.getvalue().encode("utf-8", "replace"))
        while data:
            written = self._stream.write(data)
            self.size_bytes += written
            data = data[written:]


def _row(reject: Reject) -> tuple[str, ...]:
    return (str(reject.line), reject.code, redact(reject.sentence), _shown(reject.reference))


def _shown(reference: str) -> str:
    """Return a reference as it may be written down: no card number, no spreadsheet formula."""
    safe = redact(reference) if holds_card_number(reference) else reference
    shown = "".join(c if c.isprintable() else " " for c in safe[:REFERENCE_SHOWN_MAX])
    return f"'{shown}" if shown.startswith(FORMULA_STARTS) else shown


def unwritable(path: Path, error: OSError) -> RecordUnwritable:
    """Return the error that tells that `path` cannot be written, and what to do."""
    message = f"Cannot write {path}: {error.strerror or error}. Make room for it and run it again."
    return RecordUnwritable(message, path=str(path))

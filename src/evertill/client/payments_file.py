"""The file of payments itself: opened, recognised by its content, and held against a second import.

It is separate from reading its lines, because this is where everything about the file as a whole is
refused, before any payment is sent.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final, Self

from evertill.client.faults import FileChanged, FileUnusable
from evertill.client.lines import (
    BOM,
    LINE_MAX_BYTES,
    UTF16_BOMS,
    CsvParser,
    LineParser,
    NdjsonParser,
)

CSV_SUFFIXES: Final = frozenset({".csv"})
NDJSON_SUFFIXES: Final = frozenset({".ndjson", ".jsonl"})
# 128 of the digest's 256 bits keep keys short and chance collisions out of the question.
DIGEST_CHARACTERS: Final = 32


class PaymentsFile:
    """A file of payments, open for reading.

    `digest` is of its content, `size` in bytes; the first payment can be at `first_offset`, with
    `lines_before` lines before it. `unread` names columns that mean nothing to us.
    """

    def __init__(self, path: Path) -> None:
        """Open the file at `path`; raise FileUnusable when it cannot be imported as a whole."""
        self.path = path
        suffix = path.suffix.lower()
        if suffix not in CSV_SUFFIXES | NDJSON_SUFFIXES:
            message = f"{path} is neither .csv nor .ndjson. Rename it to what it holds."
            raise FileUnusable(message)
        try:
            self.stream: BufferedReader = path.open("rb")
        except OSError as error:
            raise FileUnusable(f"Cannot read {path}: {error.strerror}.") from error
        try:
            self._examine(is_csv=suffix in CSV_SUFFIXES)
        except OSError as error:
            self.stream.close()
            raise FileUnusable(f"Cannot read {path}: {error.strerror}.") from error
        except FileUnusable:
            self.stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def check_unchanged(self) -> None:
        """Raise FileChanged when the file was written to since it was opened."""
        now = os.fstat(self.stream.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self._modified_ns):
            message = (
                f"{self.path} was written to while it was imported. All lines that it had at the "
                "start are done; lines added since are not."
            )
            raise FileChanged(message)

    def _examine(self, *, is_csv: bool) -> None:
        status = os.fstat(self.stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileUnusable(f"{self.path} is not a regular file.")
        self._lock()
        self.size, self._modified_ns = status.st_size, status.st_mtime_ns
        self.digest = hashlib.file_digest(self.stream, "sha256").hexdigest()[:DIGEST_CHARACTERS]
        self.stream.seek(0)
        start = self.stream.read(len(BOM))
        if start.startswith(UTF16_BOMS):
            raise FileUnusable(f"{self.path} is encoded in UTF-16. Save it as UTF-8.")
        self.first_offset = len(BOM) if start == BOM else 0
        self.lines_before = 0
        self.unread: list[str] = []
        self.stream.seek(self.first_offset)
        # An empty file has no header to lack columns; it has no payments in any format.
        is_headed = is_csv and self.size > self.first_offset
        self.parser: LineParser = self._read_header() if is_headed else NdjsonParser()

    def _read_header(self) -> CsvParser:
        header = self.stream.readline(LINE_MAX_BYTES)
        self.first_offset += len(header)
        self.lines_before = 1
        parser = CsvParser(header, self.path.name)
        self.unread = parser.unread
        return parser

    def _lock(self) -> None:
        """Hold the file until it is closed; two imports would overwrite each other's record."""
        try:
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileUnusable(f"{self.path} is being imported by another process.") from None
        except OSError:
            # Some network file systems have no locks; an import there is merely not guarded.
            return

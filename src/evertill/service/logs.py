"""Structured logs: one JSON object a line on standard error.

Lines are gathered and written a few times a second, because a write per payment would cost as much
as the payment. What may hold a secret is never given to a log; what slips through is redacted here:
bearer keys, and digits that could be a card number.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from time import gmtime, strftime, time
from typing import Final

import msgspec

from evertill.domain.scrubbing import scrub
from evertill.service.exchange import Exchange

FLUSH_INTERVAL_S: Final = 0.1
BUFFER_SIZE_MAX: Final = 1 << 20

_encoder: Final = msgspec.json.Encoder()


class LogStream:
    """A buffer of lines on their way to a file descriptor."""

    def __init__(self, descriptor: int = 2) -> None:
        """Write to `descriptor`."""
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._size = 0

    def write(self, entry: dict[str, object]) -> None:
        """Add one entry; the stream flushes itself when it grows large."""
        self._add(_encoder.encode(entry).decode())

    def write_access(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Add the entry for one answered request."""
        self._add(access_line(exchange, status, seconds))

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size > BUFFER_SIZE_MAX:
            self.flush()

    def flush(self) -> None:
        """Write out what was gathered."""
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            with open(self._descriptor, "wb", closefd=False) as file:
                file.write("\n".join(lines).encode() + b"\n")

    async def run(self) -> None:
        """Flush again and again."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            self.flush()


def access_line(exchange: Exchange, status: int, seconds: float) -> str:
    """Return the entry for one answered request; its `ms` are milliseconds until the answer.

    It is put together as text, for there is one for each payment: none of what stands in it is a
    client's to choose, or needs escaping.
    """
    return (
        f'{{"at":"{now()}","level":"info","message":"request",'
        f'"request_id":"{exchange.request_id}","payment_id":"{exchange.payment_id.hex()}",'
        f'"method":"{exchange.method}","route":"{exchange.route}","status":{status:d},'
        f'"ms":{seconds * 1000:.2f}}}'
    )


class JsonHandler(logging.Handler):
    """Sends what library code and our own modules log to the stream."""

    def __init__(self, stream: LogStream) -> None:
        """Write to `stream`."""
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a cause is told by its type and redacted text, without a traceback."""
        entry: dict[str, object] = {
            "at": now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1]:
            cause = record.exc_info[1]
            entry["cause"] = f"{type(cause).__name__}: {scrub(str(cause))}"
        self._stream.write(entry)


def configure(stream: LogStream) -> None:
    """Send all logging of this process to `stream`."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonHandler(stream)], force=True)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def now() -> str:
    """Return the time as logs write it: RFC 3339, UTC, milliseconds."""
    return _write_time(int(time() * 1000))


# A whole batch is answered within a millisecond or two.
@lru_cache(maxsize=2)
def _write_time(now_ms: int) -> str:
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(now_ms // 1000))}.{now_ms % 1000:03d}Z"

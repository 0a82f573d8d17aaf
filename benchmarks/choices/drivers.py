"""Compare PostgreSQL drivers for the payment hot path, by the client CPU they cost per row.

The hot path is one `INSERT ... SELECT * FROM unnest($1::int8[], ...)` for a whole batch, in
autocommit; the other shape is a `SELECT` of 200 rows with 8 columns. Drivers take turns, so
that noise on the machine meets all of them. Run it against a throw-away database with

    python benchmarks/choices/drivers.py --url postgresql://USER@HOST:PORT/DATABASE

It is separate from the service so that a driver can be judged without our own code around it.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import psycopg
import uvloop
from psycopg.adapt import Dumper
from psycopg.pq import Format

INT8, UUID, TEXT, BYTEA, TIMESTAMPTZ = 20, 2950, 25, 17, 1184
ARRAY_OF = {INT8: 1016, UUID: 2951, TEXT: 1009, BYTEA: 1001, TIMESTAMPTZ: 1185}
COLUMNS = (INT8, UUID, UUID, TEXT, INT8, TIMESTAMPTZ, BYTEA)
CASTS = ("int8", "uuid", "uuid", "text", "int8", "timestamptz", "bytea")
NULL = b"\xff\xff\xff\xff"
EPOCH_MICROSECONDS = 946_684_800_000_000
BATCHES = (128, 1000)
READ_ROWS = 200
READ = "SELECT a, b, c, d, e, f, g, a + e AS h FROM choices_read ORDER BY a LIMIT " + str(READ_ROWS)
SCHEMA = """
DROP TABLE IF EXISTS choices_write, choices_read;
CREATE TABLE choices_write
    (a int8, b uuid, c uuid, d text, e int8, f timestamptz, g bytea);
CREATE TABLE choices_read AS SELECT i::int8 AS a, gen_random_uuid() AS b, gen_random_uuid() AS c,
    'reference-' || i AS d, i::int8 AS e, now() AS f, decode(md5(i::text), 'hex') AS g
    FROM generate_series(1, 200) AS i;
"""


class Packed(NamedTuple):
    """A parameter that already is in PostgreSQL's binary format."""

    oid: int
    data: bytes


class PackedDumper(Dumper):
    """Hands a packed parameter to libpq as it is."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        """Return the bytes unchanged."""
        return obj.data

    def get_key(self, obj: Packed, format: Any) -> Any:  # noqa: A002 - psycopg's name
        """Tell psycopg that the dumper depends on the array's type."""
        return (self.cls, obj.oid)

    def upgrade(self, obj: Packed, format: Any) -> Dumper:  # noqa: A002 - psycopg's name
        """Return a dumper that announces the array's type."""
        dumper = type(self)(self.cls)
        dumper.oid = obj.oid
        return dumper


def _array(element: int, count: int, body: bytes, *, nulls: bool = False) -> Packed:
    header = struct.pack("!iiiii", 1, int(nulls), element, count, 1)
    return Packed(ARRAY_OF[element], header + body)


def pack_int8(values: Sequence[int]) -> Packed:
    """Pack an int8[] without NULLs with one call of struct."""
    count = len(values)
    interleaved = [8] * (2 * count)
    interleaved[1::2] = values
    return _array(INT8, count, struct.pack("!" + "iq" * count, *interleaved))


def pack_uuid(values: Sequence[bytes]) -> Packed:
    """Pack a uuid[] from 16-byte strings."""
    head = b"\x00\x00\x00\x10"
    return _array(UUID, len(values), head + head.join(values) if values else b"")


def pack_text(values: Sequence[str | None]) -> Packed:
    """Pack a text[] that may hold NULLs."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(NULL)
        else:
            data = value.encode()
            parts += (len(data).to_bytes(4, "big"), data)
    return _array(TEXT, len(values), b"".join(parts), nulls=None in values)


def pack_bytea(values: Sequence[bytes]) -> Packed:
    """Pack a bytea[] without NULLs."""
    body = b"".join([part for v in values for part in (len(v).to_bytes(4, "big"), v)])
    return _array(BYTEA, len(values), body)


def pack_timestamptz(values: Sequence[int]) -> Packed:
    """Pack a timestamptz[] from microseconds since 1970."""
    packed = pack_int8([value - EPOCH_MICROSECONDS for value in values])
    body = packed.data[20:]
    return _array(TIMESTAMPTZ, len(values), body)


def columns(count: int) -> list[list[Any]]:
    """Return one batch as the service would hold it: uuids as bytes, times as integers."""
    now = time.time_ns() // 1000
    return [
        list(range(count)),
        [uuid.uuid4().bytes for _ in range(count)],
        [uuid.uuid4().bytes for _ in range(count)],
        [None if i % 4 == 0 else f"reference-{i:08}" for i in range(count)],
        [1099 + i for i in range(count)],
        [now + i for i in range(count)],
        [uuid.uuid4().bytes * 2 for _ in range(count)],
    ]


def as_objects(batch: list[list[Any]]) -> list[list[Any]]:
    """Turn bytes and integers into the objects that drivers adapt."""
    a, b, c, d, e, f, g = batch
    times = [datetime.fromtimestamp(value / 1e6, UTC) for value in f]
    return [a, [uuid.UUID(bytes=v) for v in b], [uuid.UUID(bytes=v) for v in c], d, e, times, g]


def as_packed(batch: list[list[Any]]) -> list[Packed]:
    """Pack a batch into binary arrays."""
    a, b, c, d, e, f, g = batch
    return [
        pack_int8(a),
        pack_uuid(b),
        pack_uuid(c),
        pack_text(d),
        pack_int8(e),
        pack_timestamptz(f),
        pack_bytea(g),
    ]


def insert(placeholder: Callable[[int], str]) -> str:
    """Return the set-based insert with the driver's placeholders."""
    arrays = ", ".join(f"{placeholder(i)}::{cast}[]" for i, cast in enumerate(CASTS, start=1))
    return f"INSERT INTO choices_write SELECT * FROM unnest({arrays})"


Write = Callable[[list[list[Any]]], Awaitable[Any]]
Read = Callable[[], Awaitable[Any]]


async def psycopg_driver(url: str, *, packed: bool) -> tuple[Write, Read]:
    """Return the two operations on psycopg, with lists or with packed arrays."""
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)
    connection.adapters.register_dumper(Packed, PackedDumper)
    cursor = connection.cursor(binary=True)
    statement = insert(lambda _: "%b" if packed else "%s")
    convert: Callable[[list[list[Any]]], list[Any]] = as_packed if packed else as_objects

    async def write(batch: list[list[Any]]) -> None:
        await cursor.execute(statement, convert(batch))

    async def read() -> list[Any]:
        await cursor.execute(READ)
        return await cursor.fetchall()

    return write, read


async def asyncpg_driver(url: str) -> tuple[Write, Read]:
    """Return the two operations on asyncpg with prepared statements."""
    connection = await asyncpg.connect(url)
    statement = await connection.prepare(insert(lambda i: f"${i}"))
    select = await connection.prepare(READ)

    async def write(batch: list[list[Any]]) -> None:
        await statement.fetch(*as_objects(batch))

    async def read() -> Any:
        return await select.fetch()

    return write, read


async def timed(
    action: Callable[[], Awaitable[Any]], rows: int, seconds: float
) -> tuple[float, float]:
    """Repeat an action and return client CPU microseconds per row and rows per second."""
    for _ in range(10):
        await action()
    begun, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        await action()
        count += rows
    cpu, wall = time.process_time() - used, time.perf_counter() - begun
    return cpu / count * 1e6, count / wall


async def compare(url: str, rounds: int, seconds: float) -> None:
    """Let the drivers take turns and print the median of each figure."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as setup:
        await setup.execute(SCHEMA)
    drivers = {
        "psycopg-lists": await psycopg_driver(url, packed=False),
        "psycopg-packed": await psycopg_driver(url, packed=True),
        "asyncpg": await asyncpg_driver(url),
    }
    print(f"{'driver':16}{'shape':>12}{'CPU us/row':>12}{'rows/s':>10}")
    for size in (*BATCHES, 0):
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in drivers}
        batch = columns(size)
        for _ in range(rounds):
            for name, (write, read) in drivers.items():
                action = (lambda w=write, b=batch: w(b)) if size else read
                runs[name].append(await timed(action, size or READ_ROWS, seconds))
        shape = f"insert {size}" if size else f"select {READ_ROWS}"
        for name, figures in runs.items():
            cpu, rate = map(statistics.median, zip(*figures, strict=True))
            print(f"{name:16}{shape:>12}{cpu:12.2f}{rate:10.0f}", flush=True)


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description="compare PostgreSQL drivers")
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    uvloop.run(compare(options.url, options.rounds, options.seconds))


if __name__ == "__main__":
    main()

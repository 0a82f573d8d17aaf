"""Whether the database holds what the clients were told, each payment once, and I1 holds.

It is separate from the measuring, so that a test can break a database and see it noticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import psycopg

from benchmarks import databases

_CHECK: Final = re.compile(r"^-- check: ([^\n]*)\n(.*?);$", re.MULTILINE | re.DOTALL)


class Violated(Exception):
    """An invariant does not hold, so there is no figure."""


class Acknowledged(NamedTuple):
    """A payment that a client was told of, by its key's digest and its id."""

    key_digest: bytes
    payment_id: bytes


def violations(address: str, acknowledged: Iterable[Acknowledged], prefilled: int) -> list[str]:
    """Return what is wrong in the database, one sentence each; nothing is good news."""
    found = []
    with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SET work_mem = '256MB'")
        connection.execute("CREATE TEMP TABLE acknowledged (key_digest uuid, payment_id uuid)")
        _copy(connection, acknowledged)
        connection.execute("ANALYZE acknowledged")
        for sentence, query in _CHECK.findall(databases.text("checks")):
            row = connection.execute(query, {"prefilled": prefilled}).fetchone()
            if row != (0,):
                found.append(f"{sentence} ({row[0] if row else 'no answer'})")
    return found


def check(address: str, acknowledged: Iterable[Acknowledged], prefilled: int) -> None:
    """Raise Violated unless every acknowledged payment is there once and I1 holds."""
    found = violations(address, acknowledged, prefilled)
    if found:
        raise Violated(" ".join(found))


def _copy(connection: psycopg.Connection, acknowledged: Iterable[Acknowledged]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY acknowledged FROM STDIN") as copy,
    ):
        for row in acknowledged:
            copy.write(f"{row.key_digest.hex()}\t{row.payment_id.hex()}\n")

"""What one database says, read by an operator at one moment, in one snapshot.

It is separate from the checks so that these are pure: they compare what was read with what clients
remember, and a test can hand them anything.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors

_NAMED: Final = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"^--.*\n", re.MULTILINE)
CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 60

STATEMENTS: Final = {
    found[1]: _COMMENT.sub("", found[2]).strip()
    for found in _NAMED.finditer((resources.files("evertill.drill") / "queries.sql").read_text())
}


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a payment, in the order of `transaction` and `event`."""

    transaction: int
    event: str
    payment: str
    type: str
    key: bytes | None
    at: float
    answer: str


class StoredPayment(msgspec.Struct, frozen=True):
    """A payment as it stands; amounts are minor units."""

    payment: str
    status: str
    currency: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    refunds_minor: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """One database's side of the story."""

    place: str
    merchant: int
    epoch: int
    region: str
    is_standby: bool
    events: list[Event]
    payments: list[StoredPayment]
    # Each a sentence about what is not conserved.
    unbalanced: list[str]
    undelivered: int
    # Epochs other than its own in which it would take a commit.
    stale_epochs: list[int]


def read_books(place: str, url: str, key: str) -> Books | None:
    """Read the database at `url`; return None when it knows no merchant with that key.

    Raise psycopg.Error when it cannot be read.
    """
    with psycopg.connect(
        url,
        connect_timeout=CONNECT_TIMEOUT_S,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_S}s",
    ) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        merchant = _rows(connection, "merchant", key=key)
        if not merchant:
            return None
        books = _read(connection, place, merchant[0][0])
    stale = [] if books.is_standby else _stale_epochs(url, books.epoch)
    return msgspec.structs.replace(books, stale_epochs=stale)


def _read(connection: psycopg.Connection[Any], place: str, merchant: int) -> Books:
    ((epoch, region, is_standby),) = _rows(connection, "authority")
    unbalanced = [
        f"the entries of {subject}, {sequence} sum to {total} {currency}"
        for subject, sequence, currency, total in _rows(connection, "unbalanced")
    ]
    unbalanced += [
        f"{account} in {currency} of merchant {of} is {stored} and its entries sum to {counted}"
        for of, currency, account, stored, counted in _rows(connection, "wrong_balances")
    ]
    unbalanced += [
        f"pay_{UUID(payment).hex} is {status} without an entry"
        for payment, status in _rows(connection, "unbacked", merchant=merchant)
    ]
    return Books(
        place=place,
        merchant=merchant,
        epoch=epoch,
        region=region,
        is_standby=is_standby,
        events=[_event(row) for row in _rows(connection, "events", merchant=merchant)],
        payments=[
            StoredPayment(f"pay_{row[0].hex}", *row[1:])
            for row in _rows(connection, "payments", merchant=merchant)
        ],
        unbalanced=unbalanced,
        undelivered=_rows(connection, "undelivered")[0][0],
        stale_epochs=[],
    )


def _event(row: tuple[Any, ...]) -> Event:
    transaction, event, payment, kind, key, at, answer = row
    digest = None if key is None else key.bytes
    return Event(transaction, f"evt_{event.hex}", f"pay_{payment.hex}", kind, digest, at, answer)


def _stale_epochs(url: str, epoch: int) -> list[int]:
    """Return the earlier and later epochs in which the database would take a commit."""
    taken = []
    with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
        for other in {epoch - 1, epoch + 1}:
            try:
                connection.execute(STATEMENTS["try_epoch"], {"epoch": other})
            except errors.ReadOnlySqlTransaction:
                continue
            taken.append(other)
    return taken


def _rows(
    connection: psycopg.Connection[Any], name: str, **parameters: str | int
) -> list[tuple[Any, ...]]:
    return connection.execute(STATEMENTS[name], parameters or None).fetchall()

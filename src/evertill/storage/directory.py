"""Merchants and their API keys: looking them up, and making them.

Keys are random and only their SHA-256 digests are stored, so a copy of this table opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from evertill.domain.errors import NotFound
from evertill.domain.rules import Merchant, MerchantTerms
from evertill.storage.statements import STATEMENTS

KEY_PREFIX: Final = "sk_"
KEY_SIZE_BYTES: Final = 32
HINT_LENGTH: Final = 4
SCOPES: Final = ("read", "write", "admin")


class Principal(NamedTuple):
    """Who a key stands for and what it may do."""

    merchant: Merchant
    scopes: frozenset[str]


class StoredPrincipal(NamedTuple):
    """The same as it is stored; the terms of one merchant must not be another's problem."""

    merchant_id: int
    active: bool
    terms: str
    scopes: list[str]

    def read(self) -> Principal:
        """Return it with its terms read; raise msgspec.ValidationError when they can't be."""
        terms = msgspec.json.decode(self.terms, type=MerchantTerms)
        return Principal(
            Merchant(self.merchant_id, active=self.active, terms=terms), frozenset(self.scopes)
        )


def digest(api_key: str) -> bytes:
    """Return the digest under which a key is stored."""
    return sha256(api_key.encode()).digest()


async def find_principals(
    pool: AsyncConnectionPool, key_digests: Sequence[bytes]
) -> dict[bytes, StoredPrincipal]:
    """Return who keys stand for, by digest; a key that is unknown or revoked is not in it."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            STATEMENTS["find_principals"], {"key_digests": list(key_digests)}, binary=True
        )
        return {row[0]: StoredPrincipal(*row[1:]) for row in await cursor.fetchall()}


async def find_changes(pool: AsyncConnectionPool, within: timedelta) -> list[bytes]:
    """Return the digests of keys that changed, or whose merchant did, `within` the last while."""
    async with pool.connection() as connection:
        cursor = await connection.execute(STATEMENTS["find_changes"], {"within": within})
        return [row[0] for row in await cursor.fetchall()]


def save_merchant(conninfo: str, name: str, terms: MerchantTerms, *, active: bool = True) -> int:
    """Create the merchant `name`, or change its terms, and return its id."""
    with psycopg.connect(conninfo, options="-c search_path=evertill") as connection:
        row = connection.execute(
            STATEMENTS["save_merchant"],
            {"name": name, "active": active, "terms": msgspec.json.encode(terms).decode()},
        ).fetchone()
    return int(row[0]) if row else 0


def create_key(conninfo: str, merchant: str, scopes: Sequence[str]) -> str:
    """Create an API key for a merchant and return it: it cannot be shown again.

    Raise NotFound when there is no such merchant.
    """
    api_key = KEY_PREFIX + secrets.token_urlsafe(KEY_SIZE_BYTES)
    row = {
        "key_digest": digest(api_key),
        "name": merchant,
        "scopes": list(scopes),
        "hint": api_key[-HINT_LENGTH:],
    }
    with psycopg.connect(conninfo, options="-c search_path=evertill") as connection:
        if connection.execute(STATEMENTS["create_key"], row).rowcount == 0:
            message = f"There is no merchant named '{merchant}'."
            raise NotFound(message)
    return api_key


def revoke_key(conninfo: str, merchant: str, hint: str) -> int:
    """Revoke a merchant's keys that end in `hint` and return how many that were."""
    with psycopg.connect(conninfo, options="-c search_path=evertill") as connection:
        return connection.execute(
            STATEMENTS["revoke_key"], {"name": merchant, "hint": hint}
        ).rowcount

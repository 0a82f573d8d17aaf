"""Keys that a process does not know yet: a worker that starts under load finds them all."""

from __future__ import annotations

import asyncio

import pytest
from tests.storage.parts import Pool, with_pool
from tests.support.postgres import Database
from tests.support.service import create_merchant

from evertill.domain.errors import Unauthorized
from evertill.service.auth import Authenticator
from evertill.storage.database import POOL_WAITING_MAX
from evertill.storage.sources import Sources

MERCHANTS = 20
# More than may wait for a connection of the pool.
CALLS = POOL_WAITING_MAX + 44


def test_more_keys_than_may_wait_for_a_connection_are_all_found(database: Database) -> None:
    merchants = [create_merchant(database) for _ in range(MERCHANTS)]

    async def look_up(pool: Pool) -> set[int]:
        authenticator = Authenticator(Sources(pool), workers=1)
        calls = [
            authenticator.look_up(f"Bearer {merchants[number % MERCHANTS].key}")
            for number in range(CALLS)
        ]
        return {caller.merchant.merchant_id for caller in await asyncio.gather(*calls)}

    assert {merchant.merchant_id for merchant in merchants} == with_pool(database, look_up)


def test_an_unknown_key_asked_for_beside_a_known_one_is_refused_alone(database: Database) -> None:
    merchant = create_merchant(database)

    async def look_up(pool: Pool) -> int:
        authenticator = Authenticator(Sources(pool), workers=1)
        known, unknown = await asyncio.gather(
            authenticator.look_up(f"Bearer {merchant.key}"),
            authenticator.look_up("Bearer sk_nobody"),
            return_exceptions=True,
        )
        with pytest.raises(Unauthorized):
            raise unknown if isinstance(unknown, Exception) else AssertionError
        assert not isinstance(known, BaseException)
        return known.merchant.merchant_id

    assert merchant.merchant_id == with_pool(database, look_up)

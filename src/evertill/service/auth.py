"""Who is calling, from a cache that the hot path can read without waiting.

A key is looked up in the database once and then remembered; every couple of seconds each process
asks what changed and forgets that, so a revoked key stops working within `REFRESH_INTERVAL_S` plus
a little. While the database is away, what is remembered goes on working, and what is not is an
error of ours rather than a wrong key.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from datetime import timedelta
from typing import Final, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from evertill.domain.errors import Forbidden, RateLimited, Unauthorized, Unavailable
from evertill.storage import directory
from evertill.storage.directory import Principal

CACHE_SIZE_MAX: Final = 20_000
UNKNOWN_SIZE_MAX: Final = 10_000
UNKNOWN_KEPT_S: Final = 5.0
REFRESH_INTERVAL_S: Final = 2.0
# Changes are asked for over a longer time than the interval: a commit may become visible late.
REFRESH_OVERLAP: Final = timedelta(seconds=15)
KEY_LENGTH_MAX: Final = 128

_SCHEME: Final = "Bearer "

V = TypeVar("V")

log = logging.getLogger(__name__)


class Caller:
    """An authenticated merchant within this process, with its share of the merchant's rate."""

    __slots__ = ("_at_s", "_rate_per_s", "_tokens", "merchant", "scopes")

    def __init__(self, principal: Principal, workers: int, now_s: float) -> None:
        """Allow this process one of `workers` shares of what the merchant may send."""
        self.merchant = principal.merchant
        self.scopes = principal.scopes
        self._rate_per_s = principal.merchant.terms.payments_per_s_max / workers
        self._tokens = self._rate_per_s
        self._at_s = now_s

    def check_scope(self, scope: str) -> None:
        """Raise Forbidden unless the key covers `scope`."""
        if scope not in self.scopes:
            message = f"This operation needs a key with the scope '{scope}'."
            raise Forbidden(message)

    def spend(self, requests: int, now_s: float) -> None:
        """Take tokens from a bucket that holds one second's worth; raise RateLimited when empty.

        A batch may overdraw the bucket once, so that a full batch is possible at any rate.
        """
        refilled = self._tokens + (now_s - self._at_s) * self._rate_per_s
        self._tokens = min(refilled, self._rate_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            raise RateLimited
        self._tokens -= requests


class Authenticator:
    """Turns `Authorization` headers into callers."""

    def __init__(self, pool: AsyncConnectionPool, workers: int) -> None:
        """Look keys up through `pool`; `workers` processes share each merchant's rate."""
        self._pool = pool
        self._workers = workers
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._loop = asyncio.get_running_loop()

    def cached(self, header: str | None) -> Caller | bytes:
        """Return the caller, or the digest to look up; raise Unauthorized for a bad header."""
        if header is None or not header.startswith(_SCHEME) or len(header) > KEY_LENGTH_MAX:
            raise Unauthorized
        key_digest = directory.digest(header[len(_SCHEME) :])
        caller = self._callers.get(key_digest)
        if caller is not None:
            return caller
        if self._unknown.get(key_digest, 0.0) > self._loop.time():
            raise Unauthorized
        return key_digest

    async def look_up(self, key_digest: bytes) -> Caller:
        """Ask the database; raise Unauthorized for an unknown key, Unavailable without answer."""
        try:
            principal = await directory.find_principal(self._pool, key_digest)
        except (psycopg.Error, PoolTimeout, TooManyRequests):
            raise Unavailable from None
        now_s = self._loop.time()
        if principal is None:
            _remember(self._unknown, key_digest, now_s + UNKNOWN_KEPT_S, UNKNOWN_SIZE_MAX)
            raise Unauthorized
        caller = Caller(principal, self._workers, now_s)
        _remember(self._callers, key_digest, caller, CACHE_SIZE_MAX)
        return caller

    async def refresh(self) -> None:
        """Forget what changed, over and over."""
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            try:
                changed = await directory.find_changes(self._pool, REFRESH_OVERLAP)
            except (psycopg.Error, PoolTimeout, TooManyRequests):
                log.warning("changed keys could not be read; what is remembered goes on working")
                continue
            for key_digest in changed:
                self._callers.pop(key_digest, None)
                self._unknown.pop(key_digest, None)


def _remember(cache: OrderedDict[bytes, V], key: bytes, value: V, most: int) -> None:
    cache[key] = value
    if len(cache) > most:
        cache.popitem(last=False)

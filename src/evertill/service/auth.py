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
from typing import Final, NamedTuple, TypeVar

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from evertill.domain.errors import Forbidden, RateLimited, Unauthorized, Unavailable
from evertill.domain.rules import Merchant
from evertill.storage import directory
from evertill.storage.sources import Sources

CACHE_SIZE_MAX: Final = 20_000
UNKNOWN_SIZE_MAX: Final = 10_000
UNKNOWN_KEPT_S: Final = 5.0
REFRESH_INTERVAL_S: Final = 2.0
# Changes are asked for over a longer time than the interval: a commit may become visible late.
REFRESH_OVERLAP: Final = timedelta(seconds=15)
KEY_LENGTH_MAX: Final = 128

# A scheme's name is compared without regard to case (RFC 9110, section 11.1).
_SCHEME: Final = "bearer "

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


class Bucket:
    """What one merchant may still send through this process: a second's worth at most."""

    __slots__ = ("_at_s", "_tokens", "rate_per_s")

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        """Start full."""
        self.rate_per_s = rate_per_s
        self._tokens = self._size()
        self._at_s = now_s

    def spend(self, payments: int, now_s: float) -> None:
        """Take tokens; raise RateLimited when none is left.

        A batch may overdraw the bucket once, so that a full batch is possible at any rate.
        """
        # A request may have begun before the bucket was made, while its key was looked up.
        elapsed_s = max(now_s - self._at_s, 0.0)
        self._tokens = min(self._tokens + elapsed_s * self.rate_per_s, self._size())
        self._at_s += elapsed_s
        if self._tokens < 1:
            raise RateLimited
        self._tokens -= payments

    def _size(self) -> float:
        """Return what fits in: one payment at least, or a share below one would allow none ever."""
        return max(self.rate_per_s, 1.0)


class Caller(NamedTuple):
    """An authenticated merchant within this process."""

    merchant: Merchant
    scopes: frozenset[str]
    key_digest: bytes
    bucket: Bucket

    def check_scope(self, scope: str) -> None:
        """Raise Forbidden unless the key covers `scope`."""
        if scope not in self.scopes:
            message = f"This operation needs a key with the scope '{scope}'."
            raise Forbidden(message)


class Authenticator:
    """Turns `Authorization` headers into callers."""

    def __init__(self, sources: Sources, workers: int) -> None:
        """Look keys up in `sources`; `workers` processes share each merchant's rate."""
        self._sources = sources
        self._workers = workers
        # By the header as it is sent: a digest per request would cost as much as its decoding.
        self._callers: OrderedDict[str, Caller] = OrderedDict()
        # By merchant: all keys of a merchant, and the same key after a change, share one.
        self._buckets: OrderedDict[int, Bucket] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        # Keys that will be looked up next, and who is doing so.
        self._asked: dict[bytes, asyncio.Future[directory.StoredPrincipal | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def cached(self, header: str | None) -> Caller | None:
        """Return the caller if it is remembered; raise Unauthorized for what can be no key."""
        caller = self._callers.get(header or "")
        if caller is not None:
            return caller
        if header is None or len(header) > KEY_LENGTH_MAX:
            raise Unauthorized
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthorized
        return None

    async def look_up(self, header: str) -> Caller:
        """Ask the database; raise Unauthorized for an unknown key, Unavailable without answer."""
        key_digest = directory.digest(header[len(_SCHEME) :])
        if self._unknown.get(key_digest, 0.0) > self._loop.time():
            raise Unauthorized
        stored = await self._find(key_digest)
        now_s = self._loop.time()
        if stored is None:
            _remember(self._unknown, key_digest, now_s + UNKNOWN_KEPT_S, UNKNOWN_SIZE_MAX)
            raise Unauthorized
        principal = stored.read()
        bucket = self._bucket(principal.merchant, now_s)
        caller = Caller(principal.merchant, principal.scopes, key_digest, bucket)
        _remember(self._callers, header, caller, CACHE_SIZE_MAX)
        return caller

    async def _find(self, key_digest: bytes) -> directory.StoredPrincipal | None:
        """Ask together with everybody who asks at the moment.

        A process that starts under load knows no key at all: one query each, on a few connections,
        took so long that hundreds were turned away.
        """
        asked = self._asked.get(key_digest)
        if asked is None:
            asked = self._asked[key_digest] = self._loop.create_future()
        if self._asking is None:
            self._asking = self._loop.create_task(self._ask())
        # Whoever gives up must not take the answer from the others.
        return await asyncio.shield(asked)

    async def _ask(self) -> None:
        """Ask for all that was gathered, until there is nothing left to ask."""
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found, _ = await self._sources.ask(directory.find_principals, list(asked))
                except (psycopg.Error, PoolTimeout, TooManyRequests):
                    for answer in asked.values():
                        answer.set_exception(Unavailable())
                else:
                    for key_digest, answer in asked.items():
                        answer.set_result(found.get(key_digest))
        finally:
            self._asking = None

    def _bucket(self, merchant: Merchant, now_s: float) -> Bucket:
        rate_per_s = merchant.terms.payments_per_s_max / self._workers
        bucket = self._buckets.get(merchant.merchant_id)
        if bucket is None:
            bucket = Bucket(rate_per_s, now_s)
            _remember(self._buckets, merchant.merchant_id, bucket, CACHE_SIZE_MAX)
        bucket.rate_per_s = rate_per_s
        return bucket

    async def refresh(self) -> None:
        """Forget what changed, over and over."""
        was_current = True
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            if not self._callers and not self._unknown:
                continue
            try:
                found, is_current = await self._sources.ask(directory.find_changes, REFRESH_OVERLAP)
            except (psycopg.Error, PoolTimeout, TooManyRequests):
                log.warning("changed keys could not be read; what is remembered goes on working")
                continue
            if is_current and not was_current:
                # A reader that was further behind than the overlap has not told of every change.
                self._callers.clear()
                self._unknown.clear()
            was_current = is_current
            self._forget(set(found))

    def _forget(self, changed: set[bytes]) -> None:
        for key_digest in changed:
            self._unknown.pop(key_digest, None)
        stale = [h for h, caller in self._callers.items() if caller.key_digest in changed]
        for header in stale:
            del self._callers[header]


def _remember(cache: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    cache[key] = value
    if len(cache) > most:
        cache.popitem(last=False)

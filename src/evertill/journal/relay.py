"""The relay: takes committed events out of the outbox and appends them to the transaction log.

It runs in every worker process. The database gives the outbox to one of them at a time, for a term
that ends with the holder's connection; the others ask again now and then. Each term writes a chain
of its own (docs/decisions/0030-transaction-log.md), so whatever dies at whatever moment leaves a
chain that ends, never one that is broken: the next term repeats what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from evertill.domain.outbox import Claim, Outbox, OutboxUnavailable, Term
from evertill.domain.tempo import paced
from evertill.journal.records import Chain, Draft, Sealed
from evertill.journal.stores import Store, StoreUnavailable

RECORDS_MAX: Final = 10_000
# What is read at once: decoding a slice keeps the worker from its payments for about a millisecond.
BATCHES_PER_READ: Final = 8
RECORDS_PER_SLICE: Final = 100
# Between two objects. It bounds the objects' number, and is most of the log's lag.
POLL_INTERVAL_S: Final = 0.25
# While nothing happens it is asked for less and less often, down to this.
POLL_INTERVAL_MAX_S: Final = 1.0
STANDBY_INTERVAL_S: Final = 2.0
RETRY_DELAY_MIN_S: Final = 0.25
# Well within the lease, which is renewed before each try.
RETRY_DELAY_MAX_S: Final = 5.0

Connect = Callable[[], Awaitable[Outbox]]
# Called with the records of an object that is stored, and the seconds since the oldest's commit.
Observe = Callable[[int, float], None]

T = TypeVar("T")

log = logging.getLogger(__name__)


class TermOver(Exception):
    """Another process holds the outbox by now."""


class Relay(ABC):
    """Hands the outbox to one receiver, term after term."""

    def __init__(self, connect: Connect, threads: int, speed: float) -> None:
        """Hold the outbox over connections that `connect` makes, one for each term.

        With `speed` 10 pauses are a tenth as long.
        """
        self._connect = connect
        self._speed = speed
        self._poll_interval_s = POLL_INTERVAL_S
        # Not the process's common ones: a receiver that does not answer holds a thread for seconds,
        # and would hold up the other receivers with it.
        self._threads = ThreadPoolExecutor(threads, type(self).__name__)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Make a call that blocks, on a thread of this relay's own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def rest(self, *, found: bool) -> None:
        """Wait until the outbox is to be looked at again; longer if nothing was `found` in it."""
        if found:
            self._poll_interval_s = POLL_INTERVAL_S
        await self.pause(self._poll_interval_s)
        self._poll_interval_s = min(self._poll_interval_s * 2, POLL_INTERVAL_MAX_S)

    async def pause(self, delay_s: float) -> None:
        """Wait about that long: tasks that fail together should not come back together."""
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        await asyncio.sleep(paced(delay_s, self._speed) * spread)

    @abstractmethod
    def begin(self, term: Term) -> None:
        """Begin a term: whatever an earlier one had in hand is forgotten."""

    @abstractmethod
    async def relay(self, outbox: Outbox) -> None:
        """Take and deliver some of what is there, or wait; raise TermOver."""

    async def run(self) -> None:
        """Relay for ever, term after term."""
        delay_s = RETRY_DELAY_MIN_S
        while True:
            try:
                await self._serve()
                delay_s = RETRY_DELAY_MIN_S
            except OutboxUnavailable as failure:
                # The service says itself when the database is away, so this is no news.
                log.info("the outbox cannot be relayed now", exc_info=failure)
                delay_s = min(delay_s * 2, RETRY_DELAY_MAX_S)
            await self.pause(delay_s)

    async def _serve(self) -> None:
        """Hold the outbox for one term, as soon as it is free, until the term is over."""
        outbox = await self._connect()
        try:
            while (term := await outbox.begin()) is None:
                await self.pause(STANDBY_INTERVAL_S)
            self.begin(term)
            while True:
                await self.relay(outbox)
        except TermOver:
            log.info("another process relays the outbox now")
        finally:
            await outbox.close()

    async def try_until_done(self, outbox: Outbox, attempt: Callable[[], Awaitable[bool]]) -> None:
        """Make attempts at one delivery until one succeeds; raise TermOver."""
        delay_s = RETRY_DELAY_MIN_S
        while not await attempt():
            await self.pause(delay_s)
            delay_s = min(delay_s * 2, RETRY_DELAY_MAX_S)
            if await outbox.claim(0) is None:
                raise TermOver


class LogRelay(Relay):
    """Hands the outbox to the transaction log."""

    def __init__(
        self,
        connect: Connect,
        store: Store,
        region: str,
        observe: Observe,
        *,
        speed: float = 1.0,
    ) -> None:
        """Write objects of `region` to `store`."""
        # One object is on its way at a time.
        super().__init__(connect, threads=1, speed=speed)
        self._store = store
        self._region = region
        self._observe = observe
        self._chain = Chain(region, "", None)

    def begin(self, term: Term) -> None:
        """Begin the term's chain, behind what was acknowledged last."""
        self._chain = Chain(self._region, term.term_id.hex(), term.head)

    async def relay(self, outbox: Outbox) -> None:
        """Write one object, or wait; raise TermOver."""
        claim = await outbox.claim(RECORDS_MAX)
        if claim is None:
            raise TermOver
        if not claim.batch_ids:
            await self.rest(found=False)
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        sealed, oldest_s = await _seal(outbox, self._chain, claim)
        await self._store_for_good(outbox, sealed)
        self._observe(len(sealed.lines) - 1, oldest_s + loop.time() - began_s)
        if not await outbox.settle(claim.batch_ids, sealed.head):
            raise TermOver
        if len(sealed.lines) <= RECORDS_MAX:
            await self.rest(found=True)

    async def _store_for_good(self, outbox: Outbox, sealed: Sealed) -> None:
        """Store an object, trying until it is there; raise TermOver.

        A try that seems to have failed may have succeeded, so it is always the same bytes under the
        same key: a chain never has two objects in one place.
        """
        body = await self.in_thread(sealed.pack)

        async def attempt() -> bool:
            try:
                await self.in_thread(partial(self._store.put, sealed.key, body))
            except StoreUnavailable as failure:
                log.warning("the transaction log cannot be written; it is tried again: %s", failure)
                return False
            return True

        await self.try_until_done(outbox, attempt)


async def _seal(outbox: Outbox, chain: Chain, claim: Claim) -> tuple[Sealed, float]:
    """Read what was claimed and make the next object of it, in slices that payments don't feel."""
    draft = Draft(chain)
    oldest = claim.at
    for start in range(0, len(claim.batch_ids), BATCHES_PER_READ):
        events = await outbox.read(claim.batch_ids[start : start + BATCHES_PER_READ])
        for first in range(0, len(events), RECORDS_PER_SLICE):
            draft.add(events[first : first + RECORDS_PER_SLICE])
            await asyncio.sleep(0)
        oldest = min([oldest, *(event.created_at for event in events[:1])])
    return draft.seal(claim.at), (claim.at - oldest).total_seconds()

"""The chains of a stored log: which objects each has, what it follows, and so their order.

It is separate from verify because an export reads the same chains in the same order. Order comes
from the links alone. Ids of chains carry a time, but each host draws them by its own clock, and
after a failover a chain may follow another that has gone on since.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from evertill.domain.outbox import Head
from evertill.journal.records import Place, read_key, unpack, write_hour
from evertill.journal.stores import Store

# A bucket takes a few hundredths of a second for each object, and many at once.
READ_AHEAD: Final = 16


class Tail(msgspec.Struct, frozen=True):
    """The end of a chain behind the object after which the next one goes on.

    A writer that died before its acknowledgement leaves one object, whose events its successor
    wrote again. After a failover it holds what the lost region had written and the new one never
    knew.
    """

    chain: str
    from_sequence: int
    objects: int


class Log:
    """The objects of a store, by chain; those sealed in the hour of `since` or later, if given."""

    def __init__(self, store: Store, since: datetime | None = None) -> None:
        """List the store's keys and read one manifest of each chain; raise StoreUnavailable."""
        self.foreign_keys = 0
        self.chains: dict[str, list[Place]] = defaultdict(list)
        for key in store.keys(write_hour(since) if since else ""):
            place = read_key(key)
            if place is None:
                self.foreign_keys += 1
            else:
                self.chains[place.chain].append(place)
        self.follows: dict[str, Head | None] = {}
        # Chains of writers that know of no other: copies of the validation function.
        self.alone: set[str] = set()
        for chain, places in self.chains.items():
            places.sort(key=lambda place: (place.sequence, place.hour))
            self.follows[chain] = None
            # What cannot be read is found out by whoever reads it all.
            with suppress(ValueError):
                manifest, _ = unpack(store.get(places[0].key))
                self.follows[chain] = manifest.follows
                if manifest.alone:
                    self.alone.add(chain)
        self.order = list(self._in_order())

    def _in_order(self) -> Iterator[str]:
        """Return each chain behind the one that it follows.

        Those that follow the same chain come in the order of where they leave it.
        """
        behind: dict[str, list[tuple[int, str]]] = defaultdict(list)
        first = []
        for chain, head in self.follows.items():
            if head is None or head.chain not in self.chains:
                first.append((self.chains[chain][0].hour, chain))
            else:
                behind[head.chain].append((head.sequence, chain))
        left = [chain for _, chain in sorted(first, reverse=True)]
        seen = set()
        while left:
            seen.add(chain := left.pop())
            yield chain
            left += [follower for _, follower in sorted(behind[chain], reverse=True)]
        # Only a forger makes a circle; its chains are not to be passed over.
        yield from sorted(set(self.chains) - seen)

    def tails(self) -> Iterator[Tail]:
        """Return what stands behind where the next chain goes on; the newest chain has none."""
        followed: dict[str, int] = {}
        for head in self.follows.values():
            if head is not None:
                followed[head.chain] = max(followed.get(head.chain, -1), head.sequence)
        for chain in [chain for chain in self.order if chain not in self.alone][:-1]:
            places = self.chains[chain]
            begin = max(followed.get(chain, -1) + 1, places[0].sequence)
            if places[-1].sequence >= begin:
                yield Tail(chain, begin, places[-1].sequence - begin + 1)


def read_ahead(store: Store, places: Sequence[Place]) -> Iterator[tuple[Place, bytes]]:
    """Return objects in order, while the next ones are read already; raise StoreUnavailable."""
    coming: deque[tuple[Place, Future[bytes]]] = deque()
    with ThreadPoolExecutor(READ_AHEAD) as threads:
        for place in places:
            coming.append((place, threads.submit(store.get, place.key)))
            if len(coming) > READ_AHEAD:
                ready, body = coming.popleft()
                yield ready, body.result()
        for ready, body in coming:
            yield ready, body.result()

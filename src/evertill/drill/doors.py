"""Where clients find the platform: a fixed address, or a name through a cache of DNS answers.

They are separate from the clients, because what a failover does to somebody depends on how he
looks the name up: one who keeps an answer for its time to live, and one who knows each region's
name and turns to the next when one refuses. Both are measured.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

# A resolver gives up on a chain of names that is longer.
NAMES_MAX: Final = 8
QUERY_TIMEOUT_S: Final = 2.0
# How long a client goes without asking again after it got no address.
FAILURE_TTL_S: Final = 5.0


class Place(NamedTuple):
    """Where to connect, what to call the server there, and the region that it is in."""

    url: str
    host: str
    region: str


class Door(Protocol):
    """One way in, as one kind of client sees it."""

    name: str

    async def place(self) -> Place | None:
        """Return where to connect now, None when the name has no address."""

    def refused(self, place: Place, *, is_answered: bool) -> None:
        """Take note that nothing was to be had there, by an answer or by none."""


class FixedDoor:
    """An address that never changes."""

    def __init__(self, name: str, url: str, host: str, region: str) -> None:
        """Lead to `url`."""
        self.name = name
        self._place = Place(url, host, region)

    async def place(self) -> Place | None:
        """Return the address."""
        return self._place

    def refused(self, place: Place, *, is_answered: bool) -> None:
        """Change nothing: there is no other."""


class CachedName:
    """A name whose addresses are kept for their time to live, as a resolver does."""

    def __init__(
        self,
        name: str,
        server: tuple[str, int],
        *,
        speed: float,
        chance: random.Random,
        region_of: Callable[[str], str],
        port: int,
    ) -> None:
        """Ask the name server at `server`, where time runs `speed` times as fast."""
        self.name = name
        self._server = server
        self._speed = speed
        self._chance = chance
        self._region_of = region_of
        self._port = port
        self._addresses: list[str] = []
        self._refused: set[str] = set()
        self._expires_s = 0.0

    async def place(self) -> Place | None:
        """Return one of the addresses, by chance, rather one that has not just refused."""
        if time.monotonic() >= self._expires_s:
            self._addresses, ttl_s = await look_up(self.name, self._server)
            self._expires_s = time.monotonic() + ttl_s / self._speed
            self._refused.clear()
        willing = [item for item in self._addresses if item not in self._refused]
        if not self._addresses:
            return None
        address = self._chance.choice(willing or self._addresses)
        return Place(f"https://{address}:{self._port}", self.name, self._region_of(address))

    @property
    def is_exhausted(self) -> bool:
        """Whether every address has refused a connection."""
        return self._refused.issuperset(self._addresses)

    def refused(self, place: Place, *, is_answered: bool) -> None:
        """Try the others first until the answer expires, as browsers do."""
        if not is_answered:
            self._refused.add(place.url.removeprefix("https://").rpartition(":")[0])


class EitherRegion:
    """A client that knows every region's own name, and turns to the next when one refuses."""

    def __init__(self, name: str, doors: Sequence[CachedName]) -> None:
        """Begin with the first of `doors`."""
        self.name = name
        self._doors = list(doors)
        self._turn = 0

    async def place(self) -> Place | None:
        """Return where the region leads whose turn it is."""
        found = await self._doors[self._turn].place()
        if found is None:
            self._turn = (self._turn + 1) % len(self._doors)
        return found

    def refused(self, place: Place, *, is_answered: bool) -> None:
        """Turn to the next region when this one answered so, or does not answer anywhere.

        Whoever was given a place before the last turn changes nothing any more.
        """
        door = self._doors[self._turn]
        door.refused(place, is_answered=is_answered)
        if door.name == place.host and (is_answered or door.is_exhausted):
            self._turn = (self._turn + 1) % len(self._doors)


async def look_up(name: str, server: tuple[str, int]) -> tuple[list[str], float]:
    """Return the addresses of a name and the seconds for which they may be kept."""
    # Only who asks a name server needs dnspython, which the service's image does not hold.
    import dns.asyncquery  # noqa: PLC0415 - see above
    import dns.exception  # noqa: PLC0415 - see above
    import dns.message  # noqa: PLC0415 - see above
    import dns.rdatatype  # noqa: PLC0415 - see above

    ttl_s: float | None = None
    for _ in range(NAMES_MAX):
        query = dns.message.make_query(name, dns.rdatatype.A)
        try:
            reply, _ = await dns.asyncquery.udp_with_fallback(
                query, server[0], timeout=QUERY_TIMEOUT_S, port=server[1]
            )
        except (dns.exception.DNSException, OSError):
            return [], FAILURE_TTL_S
        if not reply.answer:
            return [], FAILURE_TTL_S
        answer = reply.answer[0]
        ttl_s = min(ttl_s if ttl_s is not None else answer.ttl, answer.ttl)
        if answer.rdtype == dns.rdatatype.A:
            return [record.to_text() for record in answer], ttl_s
        name = answer[0].to_text()
    return [], FAILURE_TTL_S


def trusting(authorities: str | None) -> ssl.SSLContext:
    """Return what checks servers' certificates, by the authorities in a file where one is given."""
    return ssl.create_default_context(cafile=authorities)

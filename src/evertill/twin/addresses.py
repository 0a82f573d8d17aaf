"""Loopback addresses for everything that has one in the cloud: 127.SITE.PLACE.NODE.

They are separate because several twins may run on one machine, each on a *site* of its own, and
because an address must be the same in the plan that is printed and in the run. Linux answers on all
of 127.0.0.0/8 without any setting; ports below 1024 need root there, so they are moved up by 8000.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from evertill.twin.errors import AddressesMissing, AddressesTaken

SITES_MAX: Final = 100
# 127.0.0.x is everybody's; sites begin where nobody else's defaults are.
SITE_FIRST: Final = 64
PLACES_PER_REGION: Final = 8
NODES_MAX: Final = 254
PRIVILEGED_BELOW: Final = 1024
PORT_OFFSET: Final = 8000
# A site is taken by listening here: two users' twins see each other, and a killed one's is free.
CLAIM: Final = ("255.254", 4500)


class Site(AbstractContextManager["Site"]):
    """A block of addresses that no other twin on this machine has, while it is open."""

    def __init__(self) -> None:
        """Take the first free site; raise AddressesTaken when there is none."""
        self.number, self._claim = _take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._claim.close()


class Addresses:
    """Gives each named thing of a place an address, the same one whenever it asks."""

    def __init__(self, site: int, regions: Mapping[str, Sequence[str]]) -> None:
        """Know the places by `regions`, region to zones; a region is a place too, before them."""
        self._site: Final = site
        self._places: Final = {
            place: index * PLACES_PER_REGION + offset + 1
            for index, (region, zones) in enumerate(regions.items())
            for offset, place in enumerate((region, *zones))
        }
        self._nodes: dict[str, list[str]] = {place: [] for place in self._places}

    def shared(self) -> str:
        """Return the address of what belongs to no region: the console, the name server."""
        return f"127.{self._site}.0.1"

    def take(self, place: str, name: str) -> str:
        """Return the address of `name` in `place`, a region or a zone; raise AddressesTaken."""
        nodes = self._nodes[place]
        if name not in nodes and "" in nodes:
            nodes[nodes.index("")] = name
        elif name not in nodes:
            if len(nodes) >= NODES_MAX:
                message = f"{place} has no address left for {name}."
                raise AddressesTaken(message)
            nodes.append(name)
        return f"127.{self._site}.{self._places[place]}.{nodes.index(name) + 1}"

    def release(self, place: str, name: str) -> None:
        """Give an address back: the next name that asks gets it."""
        nodes = self._nodes[place]
        if name in nodes:
            nodes[nodes.index(name)] = ""


def local_port(port: int) -> int:
    """Return the port that stands for `port` here: itself, or moved where it would need root."""
    return port + PORT_OFFSET if port < PRIVILEGED_BELOW else port


def _take() -> tuple[int, socket.socket]:
    host, port = CLAIM
    for number in range(SITE_FIRST, SITE_FIRST + SITES_MAX):
        try:
            return number, socket.create_server((f"127.{number}.{host}", port))
        except OSError as failure:
            if failure.errno == errno.EADDRNOTAVAIL:
                raise AddressesMissing from failure
    raise AddressesTaken

"""Where webhooks may go: public addresses over HTTPS, unless the operator allows more.

It is separate because it is the guard against requests that a merchant makes us send to our own
network (SSRF). A name is resolved once, every address it has must be public, and the connection is
made to the very address that was checked, so that a name cannot answer differently a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from evertill.domain.errors import EvertillError

URL_LENGTH_MAX: Final = 2048
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
NAMES_AT_ONCE_MAX: Final = 64
# Networks that stand for IPv4 addresses: what is inside is what would be reached.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All that is routed on the internet. The library takes whatever it has no name for as global, the
# old site-local addresses among it: https://www.iana.org/assignments/ipv6-address-space.
_UNICAST: Final = ipaddress.ip_network("2000::/3")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LookUp = Callable[[str, int], list[str]]


class AddressRefused(EvertillError):
    """The address is not one that webhooks may be sent to."""

    code = "address_refused"


def check_url(url: str, *, is_private_allowed: bool) -> tuple[str, int]:
    """Return host and port of a webhook's URL; raise AddressRefused, saying why."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise AddressRefused("The URL cannot be read.") from None
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(f"The URL has to be ASCII of at most {URL_LENGTH_MAX} characters.")
    if parts.scheme != "https" and not (is_private_allowed and parts.scheme == "http"):
        raise AddressRefused("The URL has to begin with https://.")
    if not host or "@" in parts.netloc or parts.fragment:
        raise AddressRefused("The URL needs a host, and neither a login nor a fragment.")
    with contextlib.suppress(ValueError):
        # A name is looked up when something is sent; an address can be refused at once.
        if not is_private_allowed and not is_public(ipaddress.ip_address(host)):
            raise AddressRefused("The URL's address is not a public one.")
    return host, port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the internet, reached neither inside nor by a detour."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def look_up(host: str, port: int) -> list[str]:
    """Ask the system for a name's addresses; raise OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Names:
    """Looks names up on threads of its own, each name once at a time.

    A name whose servers do not answer holds its thread for as long as the system waits for them. It
    must hold up neither another name nor anything else that the process does in threads.
    """

    def __init__(self, look_up: LookUp = look_up) -> None:
        """Ask `look_up`, which blocks."""
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(NAMES_AT_ONCE_MAX, "names")
        self._asked: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def find(self, host: str, port: int) -> list[str]:
        """Return a name's addresses; raise OSError."""
        name = (host, port)
        asked = self._asked.get(name)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = loop.run_in_executor(self._threads, partial(self._look_up, host, port))
            self._asked[name] = asked
            asked.add_done_callback(partial(self._forget, name))
        # Whoever gives up does so for itself.
        return await asyncio.shield(asked)

    def _forget(self, name: tuple[str, int], asked: asyncio.Future[list[str]]) -> None:
        del self._asked[name]
        # Looked at, so that nobody complains when all who asked have given up.
        if not asked.cancelled():
            asked.exception()


async def resolve(url: str, names: Names, *, is_private_allowed: bool) -> str:
    """Return the address to connect to; raise AddressRefused, or OSError for an unknown name."""
    host, port = check_url(url, is_private_allowed=is_private_allowed)
    addresses = await names.find(host, port)
    if not is_private_allowed:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address)):
                raise AddressRefused("The host's address is not a public one.")
    return addresses[0]

"""Asks the name server as a client does: over UDP, from name to name until there are addresses.

It is separate from the zones, which could be asked without a wire, because the front door and the
health checkers are clients: what the server does not say, they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.rdatatype
import dns.rrset

# A resolver gives up on a chain of names that is longer.
NAMES_MAX: Final = 8
QUERY_TIMEOUT_S: Final = 2.0
# How long a client goes without asking again after it got no address.
FAILURE_TTL_S: Final = 5

# An address and the place that it is in, a zone; empty where that is not known.
Found = Sequence[tuple[str, str]]


class DnsClient:
    """A client without a cache: each question goes to the server."""

    def __init__(self, host: str, port: int, place_of: Callable[[str], str]) -> None:
        """Ask the server at an address; `place_of` tells where an address that it gives is."""
        self._host = host
        self._port = port
        self._place_of = place_of

    async def addresses(self, name: str) -> tuple[Found, int]:
        """Return the addresses of a name and for how long they may be kept.

        There are none when the name has none or the server does not answer.
        """
        ttl_s: int | None = None
        for _ in range(NAMES_MAX):
            answer = await self._ask(name)
            if answer is None:
                return (), FAILURE_TTL_S
            ttl_s = answer.ttl if ttl_s is None else min(ttl_s, answer.ttl)
            values = [record.to_text() for record in answer]
            if answer.rdtype == dns.rdatatype.A:
                return [(value, self._place_of(value)) for value in values], ttl_s
            name = values[0]
        return (), FAILURE_TTL_S

    async def _ask(self, name: str) -> dns.rrset.RRset | None:
        try:
            query = dns.message.make_query(name, dns.rdatatype.A)
            reply, _ = await dns.asyncquery.udp_with_fallback(
                query, self._host, timeout=QUERY_TIMEOUT_S, port=self._port
            )
        except (dns.exception.DNSException, OSError):
            return None
        return reply.answer[0] if reply.answer else None

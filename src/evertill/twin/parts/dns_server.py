"""The name server: what the hosted zones answer, over UDP and TCP, as `dig` asks for it.

It is separate from the zones because it is the protocol alone. Messages are read and written by
dnspython.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from evertill.twin.addresses import local_port
from evertill.twin.errors import PartFailed
from evertill.twin.parts.hosted_zones import NEGATIVE_TTL_S, SOA, HostedZones
from evertill.twin.parts.route53 import Answer

DNS_PORT: Final = 53
# A UDP answer that is longer says so, and the client asks again over TCP.
UDP_SIZE_MAX_BYTES: Final = 1_232
TCP_TIMEOUT_S: Final = 10.0
LENGTH_BYTES: Final = 2


class DnsServer:
    """The name server of the twin. It is a Part."""

    def __init__(self, zones: HostedZones, host: str, port: int = local_port(DNS_PORT)) -> None:
        """Answer for `zones` at an address."""
        self.host: Final = host
        self.port: Final = port
        self._zones = zones
        self._datagrams: asyncio.DatagramTransport | None = None
        self._streams: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.questions = 0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/dns/server"

    async def start(self) -> None:
        """Answer questions; raise PartFailed when the address is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self.host, self.port)
            )
            self._streams = await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as failure:
            await self.stop()
            message = f"The name server cannot use {self.host}:{self.port}: {failure.strerror}."
            raise PartFailed(message) from failure

    async def stop(self) -> None:
        """Answer no more."""
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None
        if self._streams is not None:
            self._streams.close()
            self._streams = None
        for writer in tuple(self._connections):
            writer.close()

    def status(self) -> dict[str, Any]:
        """Return where it is and what it serves."""
        return {
            "address": f"{self.host}:{self.port}",
            "zones": [zone.name for zone in self._zones.zones.values()],
            "questions": self.questions,
        }

    def reply(self, wire: bytes, size_max: int) -> bytes | None:
        """Return the answer to a message, None for what is no question."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or not query.question:
            return None
        self.questions += 1
        response = dns.message.make_response(query)
        self._fill(response)
        try:
            return response.to_wire(max_size=size_max)
        except dns.exception.TooBig:
            cut = dns.message.make_response(query)
            cut.flags |= dns.flags.AA | dns.flags.TC
            return cut.to_wire(max_size=size_max)

    def _fill(self, response: dns.message.Message) -> None:
        question = response.question[0]
        name = question.name.to_text()
        kind = dns.rdatatype.to_text(question.rdtype)
        answer = self._zones.answer(name, kind)
        if answer is None:
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        if answer.values:
            try:
                response.answer.append(_rrset(name, answer))
            except dns.exception.DNSException:
                # A record whose text is none of its type, which Route 53 would not have taken.
                response.set_rcode(dns.rcode.SERVFAIL)
            return
        if not answer.exists:
            response.set_rcode(dns.rcode.NXDOMAIN)
        zone = self._zones.zone_of(name)
        if zone is not None:
            response.authority.append(_rrset(zone.name, Answer("SOA", (SOA,), NEGATIVE_TTL_S)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                while True:
                    async with asyncio.timeout(TCP_TIMEOUT_S):
                        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
                        reply = self.reply(await reader.readexactly(length), 0xFFFF)
                        if reply is None:
                            break
                        writer.write(len(reply).to_bytes(LENGTH_BYTES) + reply)
                        await writer.drain()
        finally:
            self._connections.discard(writer)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # An endpoint of datagrams is given a transport of datagrams.
        self._transport = transport  # type: ignore[assignment] # - as the line above says

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 - as in asyncio
        reply = self._server.reply(data, UDP_SIZE_MAX_BYTES)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def _rrset(name: str, answer: Answer) -> dns.rrset.RRset:
    # A canonical name is absolute, whether or not its record ends with a dot.
    values = [
        f"{value.rstrip('.')}." if answer.type == "CNAME" else value for value in answer.values
    ]
    return dns.rrset.from_text(name, answer.ttl_s, dns.rdataclass.IN, answer.type, *values)

"""The name server answers as a name server does, asked by dnspython over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from evertill.twin.addresses import Site
from evertill.twin.errors import PartFailed
from evertill.twin.parts.dns_server import DnsServer
from evertill.twin.parts.hosted_zones import HostedZones
from evertill.twin.plan.dns_specs import AliasTarget, Record, ZoneSpec

BALANCER = "alb-1.us-east-1.elb.amazonaws.com"
ZONE = ZoneSpec(
    id="Z1",
    name="example.net.",
    records=(
        Record(
            name="pay.example.net.",
            type="CNAME",
            ttl_s=30,
            values=("east.pay.example.net",),
            failover="PRIMARY",
            set_identifier="east",
            health_check="east",
        ),
        Record(
            name="pay.example.net.",
            type="CNAME",
            ttl_s=30,
            values=("west.pay.example.net",),
            failover="SECONDARY",
            set_identifier="west",
        ),
        Record(name="east.pay.example.net.", type="A", alias=AliasTarget(BALANCER, "Z2")),
        Record(name="txt.example.net.", type="TXT", ttl_s=5, values=('"one"', '"two words"')),
        Record(
            name="many.example.net.",
            type="TXT",
            ttl_s=5,
            values=tuple(f'"{n:03}{"x" * 200}"' for n in range(20)),
        ),
    ),
)


class Balancers:
    def addresses(self, dns_name: str) -> Sequence[str] | None:
        return ("127.0.0.2", "127.0.0.3") if dns_name == BALANCER else None

    def is_healthy(self, dns_name: str) -> bool:
        raise NotImplementedError


Ask = Callable[..., Awaitable[dns.message.Message]]


def answered(story: Callable[[Ask, set[str]], Awaitable[None]]) -> None:
    """Run `story` with a name server, and the set of checks that fail."""

    async def run() -> None:
        failing: set[str] = set()
        zones = HostedZones(
            [ZONE], is_passing=lambda check: check not in failing, balancers=Balancers()
        )
        with Site() as site:
            server = DnsServer(zones, f"127.{site.number}.0.1")

            async def ask(name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
                query = dns.message.make_query(name, kind)
                by = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
                return await by(query, server.host, port=server.port, timeout=5)

            await server.start()
            try:
                await story(ask, failing)
            finally:
                await server.stop()

    asyncio.run(run())


def test_a_failover_pair_follows_the_health_check() -> None:
    async def story(ask: Ask, failing: set[str]) -> None:
        first = await ask("pay.example.net")
        assert ["pay.example.net. 30 IN CNAME east.pay.example.net."] == lines(first)
        assert first.flags & dns.flags.AA
        failing.add("east")
        second = await ask("PAY.example.net.")
        assert "30 in cname west.pay.example.net." in lines(second)[0].lower()

    answered(story)


def test_a_load_balancers_name_and_its_alias_have_its_addresses_for_a_minute() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        for name in ("east.pay.example.net.", f"{BALANCER}."):
            assert {f"{name} 60 IN A 127.0.0.{n}" for n in (2, 3)} == set(lines(await ask(name)))

    answered(story)


def test_text_comes_as_it_stands_in_the_record() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        found = lines(await ask("txt.example.net", "TXT"))
        assert {f"txt.example.net. 5 IN TXT {text}" for text in ('"one"', '"two words"')} == set(
            found
        )

    answered(story)


def test_what_does_not_exist_and_what_has_no_such_type_are_told_apart() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        missing = await ask("nothing.example.net")
        assert dns.rcode.NXDOMAIN == missing.rcode()
        empty = await ask("txt.example.net", "A")
        assert (dns.rcode.NOERROR, []) == (empty.rcode(), empty.answer)
        for told in (missing, empty):
            assert "example.net. 900 IN SOA" in told.authority[0].to_text()

    answered(story)


def test_a_name_of_no_zone_is_refused() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        assert dns.rcode.REFUSED == (await ask("example.org")).rcode()

    answered(story)


def test_a_zone_has_its_name_servers_and_its_start_of_authority() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        assert "IN NS" in lines(await ask("example.net", "NS"))[0]
        assert "1 7200 900 1209600 86400" in lines(await ask("example.net", "SOA"))[0]

    answered(story)


def test_an_answer_that_is_too_long_is_asked_for_again_over_tcp() -> None:
    async def story(ask: Ask, _failing: set[str]) -> None:
        cut = await ask("many.example.net", "TXT")
        assert cut.flags & dns.flags.TC
        assert [] == cut.answer
        assert 20 == len(lines(await ask("many.example.net", "TXT", tcp=True)))

    answered(story)


def test_an_address_that_is_taken_is_one_clear_failure() -> None:
    async def run() -> None:
        zones = HostedZones([], is_passing=lambda _: True, balancers=Balancers())
        with Site() as site:
            first, second = (DnsServer(zones, f"127.{site.number}.0.1") for _ in range(2))
            await first.start()
            try:
                with pytest.raises(PartFailed, match="The name server cannot use"):
                    await second.start()
            finally:
                await first.stop()

    asyncio.run(run())


def lines(message: dns.message.Message) -> list[str]:
    return [line for found in message.answer for line in found.to_text().splitlines()]

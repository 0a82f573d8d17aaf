"""The front door leads where the public name points, as long as a client would keep the answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.network import GROUP, REGION, ZONES, Network, network, until
from tests.support.upstream import serving

from evertill.twin.errors import PartFailed
from evertill.twin.links import OPEN, Way
from evertill.twin.parts import front_door
from evertill.twin.parts.front_door import INTERNET, FrontDoor
from evertill.twin.plan.balancer_specs import Forward, ListenerSpec
from evertill.twin.plan.dns_specs import Doors

NAME = "pay.example.net"


class Name:
    """What the name means now; how often it was asked for is counted."""

    def __init__(self, *addresses: tuple[str, str], ttl_s: int = 30) -> None:
        self.addresses = list(addresses)
        self.ttl_s = ttl_s
        self.asked = 0

    async def __call__(self, name: str) -> tuple[list[tuple[str, str]], int]:
        assert NAME == name
        self.asked += 1
        return self.addresses, self.ttl_s


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def door(net: Network, name: Name, listener: int = 8080) -> AsyncIterator[int]:
    port = free_port()
    front = FrontDoor(
        Doors(NAME, ((port, listener),)),
        lookup=name,
        clock=net.clock,
        links=net.links,
        timeline=net.timeline,
        processes=net.processes,
        folder=net.folder / "door",
    )
    await front.start()
    try:
        yield port
    finally:
        await front.stop()


async def asked(port: int) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}/")).text


async def is_answered(port: int) -> bool:
    async with httpx.AsyncClient(timeout=1) as client:
        try:
            await client.get(f"http://127.0.0.1:{port}/")
        except httpx.HTTPError:
            return False
        return True


async def until_it_leads_to(port: int, host: str) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if await asked(port) == host:
                    return
            # A name tells nobody that it moved.
            await asyncio.sleep(0.05)


def test_new_connections_follow_the_name_once_its_time_to_live_is_over() -> None:
    async def story() -> None:
        async with network(speed=20) as net:
            east, west = (net.addresses.take(zone, "alb") for zone in ZONES)
            name = Name((east, ZONES[0]))
            begun_s = net.clock.now_s()
            async with serving(east, 8080), serving(west, 8080), door(net, name) as port:
                assert east == await asked(port)
                name.addresses = [(west, ZONES[1])]
                assert east == await asked(port)
                assert 1 == name.asked
                await until(lambda: name.asked == 2)
                assert 30 <= net.clock.now_s() - begun_s
                await until(lambda: net.kinds().count("front_door.moved") == 2)
                await until_it_leads_to(port, west)

    asyncio.run(story())


def test_an_open_connection_stays_where_it_is() -> None:
    async def story() -> None:
        async with network(speed=60) as net:
            east, west = (net.addresses.take(zone, "alb") for zone in ZONES)
            name = Name((east, ZONES[0]), ttl_s=5)
            async with (
                serving(east, 8080),
                serving(west, 8080),
                door(net, name) as port,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
            ):
                assert east == (await client.get("/")).text
                name.addresses = [(west, ZONES[1])]
                await until_it_leads_to(port, west)
                assert east == (await client.get("/")).text

    asyncio.run(story())


def test_of_several_addresses_one_that_does_not_answer_is_passed_over() -> None:
    async def story() -> None:
        async with network() as net:
            alive, dead = (net.addresses.take(zone, "alb") for zone in ZONES)
            name = Name((dead, ZONES[1]), (alive, ZONES[0]))
            async with serving(alive, 8080), door(net, name) as port:
                assert {alive} == {await asked(port) for _ in range(4)}

    asyncio.run(story())


def test_a_region_that_is_cut_off_from_the_internet_is_silent() -> None:
    async def story() -> None:
        async with network(speed=60) as net:
            east = net.addresses.take(ZONES[0], "alb")
            async with serving(east, 8080) as target, door(net, Name((east, ZONES[0]))) as port:
                assert east == await asked(port)
                net.links.set(INTERNET, REGION, Way(is_cut=True))
                async with asyncio.timeout(20):
                    # The first one may have been on its way, and ends without an answer.
                    while await is_answered(port):
                        pass
                seen = len(target.seen)
                assert not await is_answered(port)
                assert seen == len(target.seen)
                net.links.set(INTERNET, REGION, OPEN)
                async with asyncio.timeout(20):
                    while not await is_answered(port):
                        pass

    asyncio.run(story())


def test_tls_passes_through_and_localhost_is_on_the_certificate() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            listener = ListenerSpec(
                arn="arn:tls",
                port=443,
                protocol="HTTPS",
                default=Forward(((GROUP, 1),)),
                certificates=((NAME,),),
            )
            async with net.balancer(net.spec(listener)) as balancer, net.target() as target:
                nodes = [(balancer.node(zone).address, zone) for zone in ZONES]
                await until(lambda: all(balancer.node(zone).healthy(GROUP) for zone in ZONES))
                async with (
                    door(net, Name(*nodes), listener=443) as port,
                    httpx.AsyncClient(verify=net.authority.client_context()) as client,
                ):
                    answer = await client.get(f"https://localhost:{port}/")
                assert target.host == answer.text

    asyncio.run(story())


def test_a_door_that_broke_is_opened_again() -> None:
    async def story() -> None:
        async with network(speed=20) as net:
            east = net.addresses.take(ZONES[0], "alb")
            async with serving(east, 8080), door(net, Name((east, ZONES[0]))) as port:
                (process,) = net.processes.running()
                await process.kill()
                await until(lambda: any(net.processes.running()))
                await until_it_leads_to(port, east)

    asyncio.run(story())


def test_a_port_that_another_twins_door_has_is_left_to_it_and_the_next_one_is_taken() -> None:
    async def story() -> None:
        async with network() as net:
            first = door_at(net, free_port(), "first")
            await first.start()
            ((port, _),) = first.doors.ports
            second = door_at(net, port, "second")
            await second.start()
            ((other, behind),) = second.doors.ports
            assert port < other
            assert 80 == behind
            await second.stop()
            await first.stop()

    asyncio.run(story())


def test_ports_that_are_all_taken_are_one_clear_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "PORTS_TRIED_MAX", 1)

    async def story() -> None:
        async with network() as net:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                front = door_at(net, taken.getsockname()[1], "door")
                with pytest.raises(PartFailed, match="The front door did not open"):
                    await front.start()

    asyncio.run(story())


def door_at(net: Network, port: int, folder: str) -> FrontDoor:
    return FrontDoor(
        Doors(NAME, ((port, 80),)),
        lookup=Name(),
        clock=net.clock,
        links=net.links,
        timeline=net.timeline,
        processes=net.processes,
        folder=net.folder / folder,
    )

"""Load balancers, DNS, health checkers and the front door together: traffic follows readiness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import httpx
from tests.support.network import GROUP, ZONES, Network, network, until
from tests.twin.parts.test_front_door import free_port

from evertill.twin.parts.balancer import Balancer
from evertill.twin.parts.balancer_names import BalancerNames
from evertill.twin.parts.dns_client import DnsClient
from evertill.twin.parts.dns_server import DnsServer
from evertill.twin.parts.front_door import FrontDoor
from evertill.twin.parts.health_checker import HealthChecker
from evertill.twin.parts.hosted_zones import HostedZones
from evertill.twin.plan.balancer_specs import BalancerSpec, Forward, ListenerSpec
from evertill.twin.plan.dns_specs import AliasTarget, CheckSpec, Doors, Record, ZoneSpec

NAME = "pay.example.net"


def listener(name: str, group: str) -> ListenerSpec:
    return ListenerSpec(
        arn=f"arn:tls:{name}",
        port=443,
        protocol="HTTPS",
        default=Forward(((group, 1),)),
        certificates=((f"{name}.{NAME}", NAME),),
    )


def records(east: BalancerSpec, west: BalancerSpec) -> tuple[Record, ...]:
    pair = (("east", "PRIMARY", east), ("west", "SECONDARY", west))
    fronts = tuple(
        Record(
            name=f"{NAME}.",
            type="CNAME",
            ttl_s=30,
            values=(f"{name}.{NAME}",),
            failover="PRIMARY" if role == "PRIMARY" else "SECONDARY",
            set_identifier=name,
            health_check=name,
        )
        for name, role, _ in pair
    )
    regional = tuple(
        Record(name=f"{name}.{NAME}.", type="A", alias=AliasTarget(spec.dns_name, "Z2"))
        for name, _, spec in pair
    )
    return fronts + regional


class Cloud:
    """Two regions' worth of load balancers, the name in front of them, and a client's door."""

    def __init__(self, net: Network, balancers: Sequence[Balancer], port: int) -> None:
        self.port = port
        names = BalancerNames(balancers)
        zone = ZoneSpec(id="Z1", name="example.net.", records=records(*(b.spec for b in balancers)))
        zones = HostedZones([zone], is_passing=self.is_passing, balancers=names)
        self.server = DnsServer(zones, net.addresses.shared())
        asking = DnsClient(self.server.host, self.server.port, names.place)
        self.checker = HealthChecker(
            [check("east"), check("west")],
            resolve=asking.addresses,
            alarm_state=lambda _region, _name: "OK",
            clock=net.clock,
            links=net.links,
            timeline=net.timeline,
            metrics=net.metrics,
        )
        self.door = FrontDoor(
            Doors(NAME, ((port, 443),)),
            lookup=asking.addresses,
            clock=net.clock,
            links=net.links,
            timeline=net.timeline,
            processes=net.processes,
            folder=net.folder / "door",
        )
        self._trust = net.authority.client_context()

    def is_passing(self, name: str) -> bool:
        return self.checker.is_passing(name)

    async def ask(self) -> str:
        async with httpx.AsyncClient(verify=self._trust) as client:
            return (await client.get(f"https://localhost:{self.port}/")).text


def check(name: str) -> CheckSpec:
    return CheckSpec(
        id=name,
        kind="HTTPS",
        domain_name=f"{name}.{NAME}",
        port=443,
        path="/ready",
        interval_s=10,
    )


def spec_of(net: Network, name: str, group: str, zone: str) -> BalancerSpec:
    return net.spec(
        listener(name, group),
        name=name,
        arn=f"arn:{name}",
        dns_name=f"{name}-1.us-east-1.elb.amazonaws.com",
        zones=(zone,),
    )


def test_traffic_moves_when_the_standby_becomes_ready_and_not_before() -> None:
    async def story() -> None:
        async with network(speed=30) as net, contextlib.AsyncExitStack() as stack:
            net.group()
            net.group(arn="arn:west", name="west", full_name="targetgroup/west/2")
            balancers = [
                await stack.enter_async_context(net.balancer(spec_of(net, *where)))
                for where in (("east", GROUP, ZONES[0]), ("west", "arn:west", ZONES[1]))
            ]
            active = await stack.enter_async_context(net.target(ZONES[0]))
            standby = await stack.enter_async_context(
                net.target(ZONES[1], group="arn:west", status=503)
            )
            await until(lambda: all(balancer.is_healthy() for balancer in balancers))
            cloud = Cloud(net, balancers, free_port())
            for part in (cloud.server, cloud.checker, cloud.door):
                await part.start()
                stack.push_async_callback(part.stop)
            assert active.host == await cloud.ask()
            await until(lambda: not cloud.is_passing("west"))
            # The active region fails. With both unhealthy the primary is answered.
            active.status = 503
            await until(lambda: not cloud.is_passing("east"))
            assert [ZONES[0]] == cloud.door.status()["places"]
            assert active.host == await cloud.ask()
            # Recovery makes the standby the writer: its readiness alone moves the traffic.
            standby.status = 200
            await until(lambda: cloud.is_passing("west"))
            await until(lambda: cloud.door.status()["places"] == [ZONES[1]])
            assert standby.host == await cloud.ask()

    asyncio.run(story())

"""Load balancers, DNS, health checkers and the front door together: traffic follows readiness."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
from tests.support.network import GROUP, ZONES, network, until
from tests.twin.parts.test_front_door import free_port

from evertill.twin.parts.balancer_names import BalancerNames
from evertill.twin.parts.dns_client import DnsClient
from evertill.twin.parts.dns_server import DnsServer
from evertill.twin.parts.front_door import Doors, FrontDoor
from evertill.twin.parts.health_checker import HealthChecker
from evertill.twin.parts.hosted_zones import HostedZones
from evertill.twin.plan.balancer_specs import BalancerSpec, Forward, ListenerSpec
from evertill.twin.plan.dns_specs import AliasTarget, CheckSpec, Record, ZoneSpec

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


def test_traffic_moves_when_the_standby_becomes_ready_and_not_before() -> None:
    async def story() -> None:
        async with network(speed=30) as net, contextlib.AsyncExitStack() as stack:
            net.group()
            net.group(arn="arn:west", name="west", full_name="targetgroup/west/2")
            specs = [
                net.spec(
                    listener(name, group),
                    name=name,
                    arn=f"arn:{name}",
                    dns_name=f"{name}-1.us-east-1.elb.amazonaws.com",
                    zones=(zone,),
                )
                for name, group, zone in (
                    ("east", GROUP, ZONES[0]),
                    ("west", "arn:west", ZONES[1]),
                )
            ]
            east, west = [await stack.enter_async_context(net.balancer(spec)) for spec in specs]
            active = await stack.enter_async_context(net.target(ZONES[0]))
            standby = await stack.enter_async_context(
                net.target(ZONES[1], group="arn:west", status=503)
            )
            names = BalancerNames([east, west])
            checks = [
                CheckSpec(
                    id=name,
                    kind="HTTPS",
                    domain_name=f"{name}.{NAME}",
                    port=443,
                    path="/ready",
                    interval_s=10,
                )
                for name in ("east", "west")
            ]
            passing: dict[str, HealthChecker] = {}
            zones = HostedZones(
                [ZoneSpec(id="Z1", name="example.net.", records=records(*specs))],
                is_passing=lambda check: passing["checker"].is_passing(check),  # noqa: PLW0108 - made later
                balancers=names,
            )
            server = DnsServer(zones, net.addresses.shared())
            asking = DnsClient(server.host, server.port, names.place)
            checker = passing["checker"] = HealthChecker(
                checks,
                resolve=asking.addresses,
                alarm_state=lambda _region, _name: "OK",
                clock=net.clock,
                links=net.links,
                timeline=net.timeline,
                metrics=net.metrics,
            )
            port = free_port()
            door = FrontDoor(
                Doors(NAME, ((port, 443),)),
                lookup=asking.addresses,
                clock=net.clock,
                links=net.links,
                timeline=net.timeline,
                processes=net.processes,
                folder=net.folder / "door",
            )
            await until(lambda: east.is_healthy() and west.is_healthy())
            for part in (server, checker, door):
                await part.start()
                stack.push_async_callback(part.stop)

            async def asked() -> str:
                context = net.authority.client_context()
                async with httpx.AsyncClient(verify=context) as client:
                    return (await client.get(f"https://localhost:{port}/")).text

            assert active.host == await asked()
            await until(lambda: not checker.is_passing("west"))
            # The active region fails. With both unhealthy the primary is answered.
            active.status = 503
            await until(lambda: not checker.is_passing("east"))
            assert [ZONES[0]] == door.status()["places"]
            assert active.host == await asked()
            # Recovery makes the standby the writer: its readiness alone moves the traffic.
            standby.status = 200
            await until(lambda: checker.is_passing("west"))
            await until(lambda: door.status()["places"] == [ZONES[1]])
            assert standby.host == await asked()

    asyncio.run(story())

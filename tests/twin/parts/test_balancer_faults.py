"""Nodes fail, links are cut or slow, rules are missing: what a load balancer does, and counts."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.support.network import GROUP, ZONES, get, network, serving, until, url

from evertill.assembly import Value
from evertill.twin.links import OPEN, Way
from evertill.twin.parts.target_group import Health
from evertill.twin.plan.balancer_specs import Forward, ListenerSpec

CUT = Way(is_cut=True)


def test_a_zone_that_is_cut_off_is_left_out_and_comes_back() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with (
                net.balancer() as balancer,
                net.target(ZONES[0]) as near,
                net.target(ZONES[1]) as far,
            ):
                await until(lambda: balancer.node(ZONES[0]).healthy(GROUP) == 2)
                net.links.set(*ZONES, CUT)
                nodes = [balancer.node(zone) for zone in ZONES]
                await until(lambda: all(n.unhealthy(GROUP) == n.healthy(GROUP) == 1 for n in nodes))
                assert {near.host} == {(await get(url(balancer))).text for _ in range(4)}
                assert {far.host} == {(await get(url(balancer, ZONES[1]))).text for _ in range(4)}
                net.links.set(*ZONES, OPEN)
                await until(lambda: serving(balancer, 2))
                hosts = {(await get(url(balancer))).text for _ in range(6)}
                assert {near.host, far.host} == hosts

    asyncio.run(story())


def test_a_slow_link_slows_what_crosses_it_and_nothing_else() -> None:
    async def story() -> None:
        async with network(speed=10) as net:
            group = net.group()
            async with (
                net.balancer() as balancer,
                net.target(ZONES[0]) as near,
                net.target(ZONES[1]) as far,
            ):
                await until(lambda: serving(balancer, 2))
                net.links.set(*ZONES, Way(delay_ms=1_000))
                took_s: dict[str, list[float]] = {near.host: [], far.host: []}
                async with httpx.AsyncClient() as client:
                    while not took_s[far.host] or took_s[far.host][-1] < 1:
                        begun_s = net.clock.now_s()
                        host = (await client.get(url(balancer))).text
                        took_s[host].append(net.clock.now_s() - begun_s)
                assert took_s[far.host][-1] < 5
                assert min(took_s[near.host]) < 1
                assert 2 == group.count("healthy")

    asyncio.run(story())


def test_a_missing_security_group_rule_keeps_requests_away_and_is_named() -> None:
    async def story() -> None:
        async with network() as net:
            missing = "no ingress rule of Tasks lets tcp 8080 in from Balancer"
            asked: list[tuple[Value, int]] = []

            def may_connect(_from: object, to: object, port: int) -> str | None:
                asked.append((str(to), port))
                return missing

            net.may_connect = may_connect
            group = net.group()
            async with net.balancer(), net.target() as target:
                await until(lambda: group.count("unhealthy") == 1)
                assert [] == target.checks
                timed_out = Health("unhealthy", "Target.Timeout", "Request timed out")
                assert timed_out == group.health(target.host, target.port)
                assert ("()", 8080) in asked
                assert 1 == len([e for e in net.timeline.kept() if missing in e.text])

    asyncio.run(story())


def test_a_killed_node_leaves_the_name_and_its_successor_knows_the_targets() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: len(balancer.addresses()) == 2)
                await until(lambda: serving(balancer, 1))
                await balancer.node(ZONES[0]).kill()
                await until(lambda: balancer.addresses() == (balancer.node(ZONES[1]).address,))
                assert 200 == (await get(url(balancer, ZONES[1]))).status_code
                await balancer.node(ZONES[0]).revive()
                await until(lambda: balancer.node(ZONES[0]).healthy(GROUP) == 1)
                assert target.host == (await get(url(balancer))).text

    asyncio.run(story())


def test_a_node_that_dies_by_itself_is_replaced() -> None:
    async def story() -> None:
        async with network(speed=60) as net:
            net.group()
            async with net.balancer() as balancer, net.target():
                await until(lambda: balancer.node(ZONES[0]).healthy(GROUP) == 1)
                (victim,) = (p for p in net.processes.running() if p.name.endswith(ZONES[0]))
                await victim.kill()
                await until(lambda: "load_balancer.node_replaced" in net.kinds())
                assert 200 == (await get(url(balancer))).status_code

    asyncio.run(story())


def test_a_frozen_node_knows_nothing_and_is_thawed_as_it_was() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target():
                node = balancer.node(ZONES[0])
                await until(lambda: node.healthy(GROUP) == 1)
                node.freeze()
                await until(lambda: not node.answers)
                assert (balancer.node(ZONES[1]).address,) == balancer.addresses()
                assert 1 == group.count("healthy")
                node.thaw()
                await until(lambda: node.answers)
                assert 200 == (await get(url(balancer))).status_code

    asyncio.run(story())


def test_requests_and_hosts_are_counted_under_awss_names() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                for status in (200, 200, 404, 500):
                    target.status = status
                    await get(url(balancer))
                target.hangs_up = True
                await get(url(balancer))
                kept = net.metrics
                name = {"LoadBalancer": "app/alb/1"}
                both = name | {"TargetGroup": "targetgroup/web/1"}
                zone = {"AvailabilityZone": ZONES[0]}

                def total(metric: str, **dimensions: str) -> float:
                    return sum(kept.of("AWS/ApplicationELB", metric, **dimensions))

                await until(lambda: total("RequestCount", **name) == 5)
                assert 5 == total("RequestCount", **both) == total("RequestCount", **both, **zone)
                assert 2 == total("HTTPCode_Target_2XX_Count", **name)
                assert 1 == total("HTTPCode_Target_4XX_Count", **both)
                assert 1 == total("HTTPCode_Target_5XX_Count", **name)
                assert 1 == total("HTTPCode_ELB_5XX_Count", **name)
                assert 1 == total("HTTPCode_ELB_502_Count", **name)
                assert 4 == len(kept.of("AWS/ApplicationELB", "TargetResponseTime", **name))
                assert {1} == set(kept.of("AWS/ApplicationELB", "HealthyHostCount", **both)[-2:])
                assert 0 == total("UnHealthyHostCount", **both)

    asyncio.run(story())


def test_a_group_that_does_not_cross_zones_is_served_by_the_node_beside_it() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group(crosses_zones=False)
            async with (
                net.balancer() as balancer,
                net.target(ZONES[0]) as near,
                net.target(ZONES[1]) as far,
            ):
                await until(lambda: group.count("healthy") == 2)
                for zone, target in zip(ZONES, (near, far), strict=True):
                    hosts = {(await get(url(balancer, zone))).text for _ in range(4)}
                    assert {target.host} == hosts

    asyncio.run(story())


def test_a_listener_that_no_security_group_opens_is_silent_and_told() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            missing = "no ingress rule of Door lets tcp 80 in from everyone"
            spec = net.spec(
                ListenerSpec(
                    arn="a",
                    port=80,
                    protocol="HTTP",
                    default=Forward(((GROUP, 1),)),
                    refusal=missing,
                )
            )
            async with net.balancer(spec) as balancer:
                assert any(missing in event.text for event in net.timeline.kept())
                async with httpx.AsyncClient(timeout=0.5) as client:
                    with pytest.raises(httpx.ConnectTimeout):
                        await client.get(url(balancer))

    asyncio.run(story())

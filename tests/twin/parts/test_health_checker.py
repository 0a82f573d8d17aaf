"""Health checkers probe real endpoints and add up what three places see, as Route 53 does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from tests.support.network import GROUP, REGION, ZONES, Network, network, until
from tests.support.upstream import serving

from evertill.twin.addresses import local_port
from evertill.twin.links import OPEN, Way
from evertill.twin.parts.health_checker import VANTAGE_POINTS, HealthChecker
from evertill.twin.plan.balancer_specs import Forward, ListenerSpec
from evertill.twin.plan.dns_specs import CheckSpec

CHECK = CheckSpec(
    id="c", kind="HTTP", domain_name="pay.example.net", path="/health", port=8080, interval_s=10
)


@contextlib.asynccontextmanager
async def checking(
    net: Network, *specs: CheckSpec, host: str = "", alarms: dict[str, str] | None = None
) -> AsyncIterator[HealthChecker]:
    async def resolve(name: str) -> tuple[Sequence[tuple[str, str]], int]:
        return [(host, ZONES[0])] if host and name == "pay.example.net" else [], 60

    checker = HealthChecker(
        specs,
        resolve=resolve,
        alarm_state=lambda _, name: (alarms or {})[name],
        clock=net.clock,
        links=net.links,
        timeline=net.timeline,
        metrics=net.metrics,
    )
    await checker.start()
    try:
        yield checker
    finally:
        await checker.stop()


def test_an_endpoint_is_unhealthy_after_the_threshold_and_healthy_again_after_it() -> None:
    async def story() -> None:
        async with network(speed=30) as net:
            host = net.addresses.take(ZONES[0], "web")
            async with (
                serving(host, 8080) as target,
                checking(net, CHECK, host=host) as checker,
            ):
                await until(lambda: len(checker.observations("c")) == 3)
                assert checker.is_passing("c")
                target.health = 503
                before = len(target.checks)
                await until(lambda: not checker.is_passing("c"))
                # Every one of the three places saw three failures.
                assert 9 <= len(target.checks) - before
                assert "Failure: HTTP Status Code 503" in {
                    seen.text for seen in checker.observations("c")
                }
                target.health = 302
                await until(lambda: checker.is_passing("c"))
                assert ["health_check.unhealthy", "health_check.healthy"] == net.kinds()

    asyncio.run(story())


def test_one_place_that_sees_the_endpoint_is_enough() -> None:
    async def story() -> None:
        async with network(speed=60) as net:
            host = net.addresses.take(ZONES[0], "web")
            async with serving(host, 8080), checking(net, CHECK, host=host) as checker:
                for place in VANTAGE_POINTS[:2]:
                    net.links.set(place, REGION, Way(is_cut=True))
                share = ("AWS/Route53", "HealthCheckPercentageHealthy")
                await until(
                    lambda: min(net.metrics.of(*share, HealthCheckId="c"), default=100) < 40
                )
                assert checker.is_passing("c")
                net.links.set(VANTAGE_POINTS[2], REGION, Way(is_cut=True))
                await until(lambda: not checker.is_passing("c"))
                status = ("AWS/Route53", "HealthCheckStatus")
                await until(lambda: 0 in net.metrics.of(*status, HealthCheckId="c"))
                net.links.set(VANTAGE_POINTS[0], REGION, OPEN)
                await until(lambda: checker.is_passing("c"))

    asyncio.run(story())


def test_https_is_asked_with_the_name_and_the_certificate_does_not_matter() -> None:
    async def story() -> None:
        async with network(speed=30) as net:
            net.group()
            listener = ListenerSpec(
                arn="arn:tls",
                port=443,
                protocol="HTTPS",
                default=Forward(((GROUP, 1),)),
                certificates=(("other.example.net",),),
            )
            spec = msgspec.structs.replace(CHECK, kind="HTTPS", port=443, path="/ready")
            async with net.balancer(net.spec(listener)) as balancer, net.target() as target:
                address = balancer.node(ZONES[0]).address
                await until(lambda: balancer.node(ZONES[0]).healthy(GROUP))
                async with checking(net, spec, host=address) as checker:
                    await until(lambda: len(checker.observations("c")) == 3)
                    seen = {item.text for item in checker.observations("c")}
                    assert {"Success: HTTP Status Code 200"} == seen
                assert "pay.example.net" == target.seen[0][1]["host"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "passing"),
    [
        pytest.param({"kind": "TCP"}, True, id="a port that takes connections"),
        pytest.param({"kind": "TCP", "port": 9}, False, id="a port that does not"),
        pytest.param({"kind": "HTTP_STR_MATCH", "search": "127."}, True, id="a text that is there"),
        pytest.param({"kind": "HTTP_STR_MATCH", "search": "up!"}, False, id="a text that is not"),
        pytest.param({"domain_name": "gone.example.net"}, False, id="a name without an address"),
        pytest.param({"is_inverted": True}, False, id="inverted"),
        pytest.param({"path": "/", "port": 9, "is_disabled": True}, True, id="disabled"),
        pytest.param({"is_disabled": True, "is_inverted": True}, False, id="disabled and inverted"),
    ],
)
def test_kinds_of_checks(changes: dict[str, Any], *, passing: bool) -> None:
    async def story() -> None:
        async with network(speed=60) as net:
            spec = msgspec.structs.replace(CHECK, **changes)
            host = net.addresses.take(ZONES[0], "web")
            async with (
                serving(host, local_port(8080)),
                checking(net, spec, host=host) as checker,
            ):
                await until(lambda: len(checker.observations("c")) == 3)
                await until(lambda: checker.is_passing("c") == passing)

    asyncio.run(story())


def test_a_calculated_check_counts_its_children() -> None:
    async def story() -> None:
        async with network() as net:
            dead, alive = (
                CheckSpec(id=name, kind="CLOUDWATCH_METRIC", alarm=(REGION, name))
                for name in ("dead", "alive")
            )
            alarms = {"dead": "ALARM", "alive": "OK"}
            children = ("dead", "alive")
            one, two = (
                CheckSpec(id=f"{n}", kind="CALCULATED", children=children, healthy_children_min=n)
                for n in (1, 2)
            )
            async with checking(net, dead, alive, one, two, alarms=alarms) as checker:
                assert [False, True, True, False] == [
                    checker.is_passing(check) for check in ("dead", "alive", "1", "2")
                ]
                alarms["dead"] = "INSUFFICIENT_DATA"
                assert not checker.is_passing("dead")
                alarms["dead"] = "OK"
                assert checker.is_passing("2")

    asyncio.run(story())

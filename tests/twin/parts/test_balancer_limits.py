"""A firewall's limits on rates hold at each front, by address or by key, and answer as they say."""

from __future__ import annotations

import asyncio

import httpx
from tests.support.network import GROUP, HEALTH, Network, network, plain, until, url

from evertill.twin.parts.balancer import Balancer
from evertill.twin.plan.balancer_specs import BalancerSpec, FixedResponse
from evertill.twin.plan.firewalls import Every, Match, Not, RateLimit, Some

ANSWER = plain(FixedResponse(status=200, content_type="text/plain", body="well"))
# Long enough in twin time that no request of a test is forgotten before it ends.
LONG_S = 6_000.0


def limited(net: Network, *limits: RateLimit) -> BalancerSpec:
    return net.spec(ANSWER, limits=limits)


async def statuses(
    balancer: Balancer, count: int, path: str = "/", **headers: str
) -> list[httpx.Response]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with httpx.AsyncClient() as client:
        return [await client.get(url(balancer) + path, headers=named) for _ in range(count)]


def codes(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_an_address_that_asks_too_often_is_refused_as_a_firewall_does() -> None:
    async def story() -> None:
        async with network() as net:
            limit = RateLimit("all", 3, LONG_S)
            async with net.balancer(limited(net, limit)) as balancer:
                answers = await statuses(balancer, 5)
                assert [200, 200, 200, 403, 403] == codes(answers)
                assert "403 Forbidden" in answers[-1].text

    asyncio.run(story())


def test_each_key_has_a_limit_of_its_own_and_the_answer_is_the_templates() -> None:
    async def story() -> None:
        async with network() as net:
            limit = RateLimit(
                "per-key",
                2,
                LONG_S,
                header="authorization",
                status=429,
                headers=(("Retry-After", "30"), ("X-Share", "100%")),
                content_type="application/json",
                body='{"title": "Too many \'requests\'"}',
            )
            async with net.balancer(limited(net, limit)) as balancer:
                spent = await statuses(balancer, 3, authorization="Bearer a")
                assert [200, 200, 429] == codes(spent)
                refused = spent[-1]
                assert "application/json" == refused.headers["content-type"]
                assert ("30", "100%") == (
                    refused.headers["retry-after"],
                    refused.headers["x-share"],
                )
                assert {"title": "Too many 'requests'"} == refused.json()
                assert [200, 200] == codes(await statuses(balancer, 2, authorization="Bearer b"))
                assert [200] * 4 == codes(await statuses(balancer, 4))

    asyncio.run(story())


def test_only_what_is_in_the_scope_is_counted() -> None:
    async def story() -> None:
        async with network() as net:
            has_key = Match("authorization", "gt", "0")
            spared = Some((Match("", "str", "/ready"), Match("", "beg", "/free", is_lowered=True)))
            scope = Every((Not(has_key), Not(spared)))
            limits = (
                RateLimit("anonymous", 2, LONG_S, scope=scope, status=429),
                RateLimit("all", 12, LONG_S),
            )
            async with net.balancer(limited(net, *limits)) as balancer:
                assert [200] * 2 == codes(await statuses(balancer, 2, "/ready"))
                assert [200] == codes(await statuses(balancer, 1, "/FREE/x"))
                assert [200] * 3 == codes(await statuses(balancer, 3, authorization="x"))
                assert [200, 200, 429] == codes(await statuses(balancer, 3))
                # The first limit that refuses ends it: what it refused is not counted again.
                assert [200] * 4 == codes(await statuses(balancer, 4, "/ready"))
                assert [403] == codes(await statuses(balancer, 1, "/ready"))

    asyncio.run(story())


def test_the_window_passes_in_twin_time() -> None:
    async def story() -> None:
        async with network(speed=20) as net:
            limit = RateLimit("all", 1, 20.0)
            async with net.balancer(limited(net, limit)) as balancer:
                assert [200, 403] == codes(await statuses(balancer, 2))
                await net.clock.sleep(3 * limit.window_s)
                assert [200] == codes(await statuses(balancer, 1))

    asyncio.run(story())


def test_health_checks_and_targets_know_nothing_of_it() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group(check=HEALTH)
            spec = net.spec(limits=(RateLimit("all", 1, LONG_S),))
            async with net.balancer(spec) as balancer, net.target() as target:
                await until(lambda: group.count("healthy") == 1)
                assert [200, 403] == codes(await statuses(balancer, 2))
                assert 1 == len(target.seen)
                assert GROUP in net.groups

    asyncio.run(story())

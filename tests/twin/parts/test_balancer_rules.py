"""Listeners' rules, redirects, TLS and headers, as clients and targets see them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from tests.support.network import GROUP, Network, network, plain, until, url

from evertill.twin.parts.balancer import Balancer
from evertill.twin.plan.balancer_specs import (
    BalancerSpec,
    Condition,
    FixedResponse,
    Forward,
    ListenerSpec,
    Redirect,
    Rule,
)

TO_GROUP = Forward(((GROUP, 1),))
MATCHED = FixedResponse(status=418, content_type="application/json", body='{"it": "matched"}')
REST = FixedResponse(status=404)


async def answers(
    spec: BalancerSpec,
    net: Network,
    requests: Sequence[tuple[str, str, Mapping[str, str]]],
) -> list[httpx.Response]:
    async with net.balancer(spec) as balancer, httpx.AsyncClient() as client:
        return [
            await client.request(method, url(balancer) + path, headers=dict(headers))
            for method, path, headers in requests
        ]


@pytest.mark.parametrize(
    ("condition", "matching", "other"),
    [
        (Condition("path", ("/img/*",)), ("/img/a", {}), ("/IMG/a", {})),
        (Condition("path", ("/a?c",)), ("/abc", {}), ("/ac", {})),
        (Condition("path", ("/x.y",)), ("/x.y?q=1", {}), ("/xzy", {})),
        (Condition("path", ("/it's", "/b")), ("/b", {}), ("/c", {})),
        (
            Condition("host", ("*.Example.net",)),
            ("/", {"Host": "WWW.example.NET:8080"}),
            ("/", {"Host": "example.net"}),
        ),
        (
            Condition("header", ("*Chrome*",), "User-Agent"),
            ("/", {"User-Agent": "a chrome b"}),
            ("/", {"User-Agent": "x"}),
        ),
        (Condition("query", ("version=v*",)), ("/?a=1&version=V2", {}), ("/?version=2", {})),
        (Condition("query", ("*secret*",)), ("/?k=topsecret1", {}), ("/?secret=no", {})),
        (Condition("source", ("127.0.0.0/8",)), ("/", {}), None),
        (Condition("source", ("10.0.0.0/8",)), None, ("/", {})),
    ],
)
def test_conditions(
    condition: Condition,
    matching: tuple[str, dict[str, str]] | None,
    other: tuple[str, dict[str, str]] | None,
) -> None:
    async def story() -> None:
        async with network() as net:
            spec = net.spec(plain(REST, Rule("r", 5, (condition,), MATCHED)))
            asked = [("GET", *case) for case in (matching, other) if case is not None]
            got = [answer.status_code for answer in await answers(spec, net, asked)]
        expected = [418] * (matching is not None) + [404] * (other is not None)
        assert expected == got

    asyncio.run(story())


def test_methods_conditions_together_and_priorities() -> None:
    async def story() -> None:
        both = (Condition("path", ("/p",)), Condition("method", ("PUT", "DELETE")))
        rules = (
            Rule("late", 20, (Condition("path", ("/p",)),), FixedResponse(status=420)),
            Rule("early", 3, both, MATCHED),
        )
        async with network() as net:
            spec = net.spec(plain(REST, *rules))
            sent = [("PUT", "/p"), ("DELETE", "/p"), ("GET", "/p"), ("PUT", "/q")]
            got = await answers(spec, net, [(method, path, {}) for method, path in sent])
        assert [418, 418, 420, 404] == [answer.status_code for answer in got]
        assert {"it": "matched"} == got[0].json()
        assert "application/json" == got[0].headers["content-type"]
        assert "awselb/2.0" == got[0].headers["server"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("redirect", "path", "location"),
    [
        ({"protocol": "HTTPS", "port": "443"}, "/a/b?c=d", "https://pay.example.net:8443/a/b?c=d"),
        ({"protocol": "HTTPS", "port": "443"}, "/", "https://pay.example.net:8443/"),
        (
            {"host": "new.#{host}", "path": "/v2/#{path}"},
            "/x",
            "http://new.pay.example.net:8080/v2/x",
        ),
        ({"query": "from=#{path}"}, "/x?y=z", "http://pay.example.net:8080/x?from=x"),
        ({"query": ""}, "/x?y=z", "http://pay.example.net:8080/x"),
        ({"path": "/100%"}, "/x", "http://pay.example.net:8080/100%"),
    ],
)
def test_redirects(redirect: dict[str, Any], path: str, location: str) -> None:
    async def story() -> None:
        async with network() as net:
            spec = net.spec(plain(Redirect(status=302, **redirect)))
            asked = [("GET", path, {"Host": "pay.example.net:8080"})]
            (answer,) = await answers(spec, net, asked)
        assert (302, location) == (answer.status_code, answer.headers["location"])

    asyncio.run(story())


def test_a_request_is_sent_to_groups_by_their_weights() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            net.group(arn="arn:other", name="other", full_name="targetgroup/other/2")
            spec = net.spec(plain(Forward(((GROUP, 1), ("arn:other", 1)))))
            async with (
                net.balancer(spec) as balancer,
                net.target() as one,
                net.target(group="arn:other") as two,
            ):
                await until(lambda: _serves(balancer, GROUP, "arn:other"))
                async with httpx.AsyncClient() as client:
                    hosts = {(await client.get(url(balancer))).text for _ in range(40)}
                assert {one.host, two.host} == hosts

    asyncio.run(story())


def test_a_target_sees_who_asked_and_how() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            spec = net.spec(drops_invalid_headers=True)
            async with net.balancer(spec) as balancer, net.target() as target:
                await until(lambda: _serves(balancer, GROUP))
                headers = {"X-Forwarded-For": "203.0.113.7", "Bad_Name": "x", "Good-Name": "y"}
                async with httpx.AsyncClient() as client:
                    await client.get(url(balancer), headers=headers)
                    await client.get(url(balancer))
                first, second = (seen for _, seen in target.seen)
                assert "203.0.113.7, 127.0.0.1" == first["x-forwarded-for"]
                assert "127.0.0.1" == second["x-forwarded-for"]
                assert ("http", "80") == (first["x-forwarded-proto"], first["x-forwarded-port"])
                assert first["x-amzn-trace-id"].startswith("Root=1-")
                assert "y" == first["good-name"]
                assert "bad_name" not in first

    asyncio.run(story())


def test_tls_shows_the_certificate_for_the_name_and_forwards_how_it_was_asked() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            listener = ListenerSpec(
                arn="arn:tls",
                port=443,
                protocol="HTTPS",
                default=TO_GROUP,
                certificates=(("pay.example.net",), ("shop.example.net",)),
                policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            )
            async with net.balancer(net.spec(listener)) as balancer, net.target() as target:
                await until(lambda: _serves(balancer, GROUP))
                where = url(balancer, port=443, scheme="https")
                async with httpx.AsyncClient(
                    verify=net.authority.client_context(), http2=False
                ) as client:
                    for name in ("pay.example.net", "shop.example.net", "localhost"):
                        sent = client.build_request(
                            "GET", where, headers={"Host": name}, extensions={"sni_hostname": name}
                        )
                        assert 200 == (await client.send(sent)).status_code
                assert "https" == target.seen[0][1]["x-forwarded-proto"]
                assert "443" == target.seen[0][1]["x-forwarded-port"]

    asyncio.run(story())


def test_a_protocol_that_is_older_than_the_policy_is_refused() -> None:
    async def story() -> None:
        async with network() as net:
            listener = ListenerSpec(
                arn="arn:tls",
                port=443,
                protocol="HTTPS",
                default=REST,
                certificates=(("pay.example.net",),),
                policy="ELBSecurityPolicy-TLS13-1-3-2021-06",
            )
            async with net.balancer(net.spec(listener)) as balancer:
                host, _, port = url(balancer, port=443).removeprefix("http://").partition(":")
                context = net.authority.client_context()
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                with pytest.raises(ssl.SSLError):
                    await asyncio.open_connection(
                        host, int(port), ssl=context, server_hostname="pay.example.net"
                    )

    asyncio.run(story())


def test_trace_is_refused() -> None:
    async def story() -> None:
        async with network() as net:
            (answer,) = await answers(net.spec(plain(REST)), net, [("TRACE", "/", {})])
        assert 405 == answer.status_code

    asyncio.run(story())


def _serves(balancer: Balancer, *groups: str) -> bool:
    nodes = [balancer.node(zone) for zone in balancer.spec.zones]
    return all(node.healthy(group) >= 1 for node in nodes for group in groups)

"""A load balancer behaves as AWS documents of its own, with a real HAProxy and real servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import msgspec
from tests.support.network import HEALTH, ZONES, get, network, serving, until, url
from tests.support.upstream import Upstream

from evertill.twin.links import Way
from evertill.twin.parts.target_group import Health

CUT = Way(is_cut=True)
CHECKED_PORT = 8081


@contextlib.asynccontextmanager
async def checked(target: Upstream) -> AsyncIterator[None]:
    """Answer a target's health checks at another port than its requests."""
    answering = Upstream(target.host, CHECKED_PORT)
    await answering.start()
    try:
        yield
    finally:
        await answering.stop()


def test_a_target_gets_requests_after_its_first_passed_check() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target(health=503) as target:
                await until(lambda: target.checks)
                assert "initial" == group.health(target.host, target.port).state
                target.health = 200
                await until(lambda: serving(balancer, 1))
                answer = await get(url(balancer))
                assert (200, target.host) == (answer.status_code, answer.text)

    asyncio.run(story())


def test_checks_are_made_as_aws_makes_them() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer(), net.target() as target:
                await until(lambda: target.checks)
                assert f"{target.host}:8080" == target.checks[0]["host"]
                assert "ELB-HealthChecker/2.0" == target.checks[0]["user-agent"]

    asyncio.run(story())


def test_the_matcher_decides_which_answers_are_healthy() -> None:
    async def story() -> None:
        async with network() as net:
            check = msgspec.structs.replace(HEALTH, codes=((200, 200), (404, 410)))
            group = net.group(check=check)
            async with net.balancer(), net.target(health=404), net.target(health=403):
                await until(lambda: group.count("healthy") == group.count("unhealthy") == 1)
                (bad,) = (
                    group.health(t.host, t.port)
                    for t in group.targets()
                    if group.health(t.host, t.port).state == "unhealthy"
                )
                text = "Health checks failed with these codes: [403]"
                assert Health("unhealthy", "Target.ResponseCodeMismatch", text) == bad

    asyncio.run(story())


def test_an_unhealthy_target_gets_no_requests_until_it_passed_enough_checks() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target() as good, net.target() as bad:
                await until(lambda: serving(balancer, 2))
                bad.health = 500
                await until(lambda: group.count("unhealthy") == 1)
                hosts = {(await get(url(balancer))).text for _ in range(6)}
                assert {good.host} == hosts
                bad.health = 200
                await until(lambda: serving(balancer, 2))
                hosts = {(await get(url(balancer))).text for _ in range(6)}
                assert {good.host, bad.host} == hosts

    asyncio.run(story())


def test_when_no_target_is_healthy_all_of_them_get_requests() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target() as one, net.target() as other:
                await until(lambda: serving(balancer, 2))
                one.health = other.health = 500
                await until(lambda: group.count("unhealthy") == 2)
                answers = [await get(url(balancer)) for _ in range(8)]
                assert {200} == {answer.status_code for answer in answers}
                assert {one.host, other.host} == {answer.text for answer in answers}
                assert not balancer.is_healthy()

    asyncio.run(story())


def test_a_group_without_targets_is_a_503_of_the_load_balancer() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer() as balancer:
                answer = await get(url(balancer))
                assert 503 == answer.status_code
                assert "awselb/2.0" == answer.headers["server"]
                assert "503 Service Temporarily Unavailable" in answer.text

    asyncio.run(story())


def test_a_target_that_refuses_connections_is_a_502_and_nobody_else_is_tried() -> None:
    async def story() -> None:
        async with network() as net:
            # Checked at another port, which goes on answering: the checks never take it out.
            net.group(check=msgspec.structs.replace(HEALTH, port=CHECKED_PORT))
            async with (
                net.balancer() as balancer,
                net.target() as good,
                net.target() as gone,
                checked(good),
                checked(gone),
            ):
                await until(lambda: serving(balancer, 2))
                await gone.stop()
                answers = [await get(url(balancer)) for _ in range(2)]
                assert {200, 502} == {answer.status_code for answer in answers}
                assert 1 == len(good.seen)
                (bad,) = (answer for answer in answers if answer.status_code == 502)
                assert "502 Bad Gateway" in bad.text

    asyncio.run(story())


def test_a_target_that_hangs_up_is_a_502_on_a_connection_that_was_used_before_too() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                async with httpx.AsyncClient(base_url=url(balancer)) as client:
                    assert 200 == (await client.get("/")).status_code
                    target.hangs_up = True
                    answer = await client.post("/", content=b"x")
                assert (502, "awselb/2.0") == (answer.status_code, answer.headers["server"])
                assert 2 == len(target.seen)

    asyncio.run(story())


def test_a_target_that_does_not_take_the_connection_in_time_is_a_504() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                net.links.set(*ZONES, CUT)
                net.links.set(ZONES[0], ZONES[0], CUT)
                await until(lambda: group.count("unhealthy") == 1)
                answer = await get(url(balancer))
                assert 504 == answer.status_code
                assert "504 Gateway Time-out" in answer.text
                assert [] == target.seen
                async with httpx.AsyncClient(base_url=url(balancer)) as client:
                    assert 504 == (await client.get("/")).status_code
                    with contextlib.suppress(httpx.RemoteProtocolError):
                        assert 504 == (await client.get("/")).status_code
                counted = ("AWS/ApplicationELB", "HTTPCode_ELB_504_Count")
                name = {"LoadBalancer": "app/alb/1"}
                await until(lambda: sum(net.metrics.of(*counted, **name)) == 3)

    asyncio.run(story())


def test_a_target_that_is_silent_for_the_idle_timeout_is_a_504() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            spec = net.spec(idle_timeout_s=10)
            async with net.balancer(spec) as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                target.holds.clear()
                before_s = net.clock.now_s()
                answer = await get(url(balancer))
                target.holds.set()
                assert 504 == answer.status_code
                assert 10 <= net.clock.now_s() - before_s

    asyncio.run(story())


def test_what_a_target_answers_itself_is_handed_through() -> None:
    async def story() -> None:
        async with network() as net:
            net.group()
            async with net.balancer() as balancer, net.target(status=503) as target:
                await until(lambda: serving(balancer, 1))
                answer = await get(url(balancer))
                assert (503, target.host) == (answer.status_code, answer.text)

    asyncio.run(story())


def test_a_deregistered_target_finishes_its_requests_and_gets_no_others() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group()
            async with net.balancer() as balancer, net.target() as old, net.target() as new:
                await until(lambda: serving(balancer, 2))
                old.holds.clear()
                new.holds.clear()
                both = [asyncio.create_task(get(url(balancer))) for _ in range(2)]
                await until(lambda: old.seen and new.seen)
                leaving = asyncio.create_task(group.deregister(old.host, old.port))
                await until(lambda: group.health(old.host, old.port).state == "draining")
                new.holds.set()
                assert {new.host} == {(await get(url(balancer))).text for _ in range(4)}
                old.holds.set()
                assert {200} == {(await answer).status_code for answer in both}
                await leaving
                assert "unused" == group.health(old.host, old.port).state

    asyncio.run(story())


def test_what_is_in_flight_after_the_delay_is_cut_off() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group(deregistration_delay_s=4)
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                target.holds.clear()
                answer = asyncio.create_task(get(url(balancer)))
                await until(lambda: target.seen)
                await group.deregister(target.host, target.port)
                with contextlib.suppress(httpx.RemoteProtocolError):
                    assert 500 <= (await answer).status_code
                target.holds.set()
                assert 503 == (await get(url(balancer))).status_code

    asyncio.run(story())


def test_an_address_that_was_out_of_use_serves_again() -> None:
    async def story() -> None:
        async with network() as net:
            group = net.group(deregistration_delay_s=2)
            async with net.balancer() as balancer, net.target() as target:
                await until(lambda: serving(balancer, 1))
                await group.deregister(target.host, target.port)
                group.register(target.host, target.port, ZONES[0])
                await until(lambda: serving(balancer, 1))
                assert 200 == (await get(url(balancer))).status_code

    asyncio.run(story())

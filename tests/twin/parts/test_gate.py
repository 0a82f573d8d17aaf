"""A gate carries bytes as its links let them: whole, in order, late, slowly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.links import OPEN, Links, Way
from evertill.twin.parts.gate import Gate, Listen, Peer

DEADLINE_S = 20.0
# Long enough to be sure that something does not come, short enough to wait for it.
SILENCE_S = 0.15


class World:
    """An echo server in zone b, a gate for a consumer in zone a, and the link between them."""

    def __init__(self, speed: float, refusal: str) -> None:
        self.clock = Clock(speed)
        self.links = Links({"a": "r", "b": "r"})
        self.timeline = Timeline(self.clock)
        self.peer: Peer | None = None
        self.gate = Gate(
            "r/gate/echo",
            Listen("a", "127.0.0.1", 0),
            lambda: self.peer,
            clock=self.clock,
            links=self.links,
            timeline=self.timeline,
            refusal=refusal,
        )

    @property
    def port(self) -> int:
        assert self.gate.port
        return self.gate.port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


class Echo(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> None:
        self.transport.write(b"bye")


@asynccontextmanager
async def world(speed: float = 1.0, refusal: str = "") -> AsyncIterator[World]:
    made = World(speed, refusal)
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    made.peer = Peer("b", "127.0.0.1", server.sockets[0].getsockname()[1])
    await made.gate.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield made
    finally:
        await made.gate.stop()
        server.close()


async def until_open(made: World, count: int) -> None:
    while made.gate.status()["connections"] != count:  # noqa: ASYNC110 - a gate tells nobody
        await asyncio.sleep(0.005)


def test_bytes_arrive_whole_and_in_order_and_the_end_follows_them() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            sent = os.urandom(8_000_000)

            async def send() -> None:
                writer.write(sent)
                await writer.drain()
                writer.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                received = group.create_task(reader.read(-1))
            assert sent + b"bye" == received.result()
            writer.close()
            await until_open(made, 0)
            assert len(sent) == made.gate.status()["out_bytes"]

    asyncio.run(story())


def test_a_link_that_changes_under_load_keeps_the_order() -> None:
    async def story() -> None:
        async with world(speed=60) as made:
            reader, writer = await made.connect()
            sent = os.urandom(3_000_000)
            ways = [Way(delay_ms=300), OPEN, Way(is_cut=True), Way(bytes_per_s=1_000_000), OPEN]

            async def send() -> None:
                for start in range(0, len(sent), 100_000):
                    made.links.set("a", "b", ways[start // 100_000 % len(ways)])
                    writer.write(sent[start : start + 100_000])
                    await asyncio.sleep(0.01)
                made.links.set("a", "b", OPEN)
                writer.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                received = group.create_task(reader.read(-1))
            assert sent + b"bye" == received.result()
            writer.close()

    asyncio.run(story())


def test_a_cut_stalls_open_connections_and_its_end_lets_them_go_on() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            writer.write(b"before")
            assert b"before" == await reader.readexactly(6)
            made.links.set("r", "r", Way(is_cut=True))
            writer.write(b"within")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(6), SILENCE_S)
            made.links.set("r", "r", OPEN)
            assert b"within" == await reader.readexactly(6)
            writer.close()

    asyncio.run(story())


def test_a_cut_one_way_lets_the_request_through_and_not_the_answer() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            writer.write(b"x")
            await reader.readexactly(1)
            made.links.set("b", "a", Way(is_cut=True))
            before = made.gate.status()["out_bytes"]
            writer.write(b"request")
            while made.gate.status()["out_bytes"] == before:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), SILENCE_S)
            writer.close()

    asyncio.run(story())


def test_a_new_connection_over_a_cut_link_is_not_answered_until_it_is_undone() -> None:
    async def story() -> None:
        async with world() as made:
            made.links.set("a", "b", Way(is_cut=True))
            reader, writer = await made.connect()
            writer.write(b"hello")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), SILENCE_S)
            made.links.set("a", "b", OPEN)
            assert b"hello" == await reader.readexactly(5)
            writer.close()

    asyncio.run(story())


def test_a_client_that_leaves_behind_a_cut_is_missed_only_when_it_is_undone() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            writer.write(b"x")
            await reader.readexactly(1)
            made.links.set("a", "b", Way(is_cut=True))
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(SILENCE_S)
            assert 1 == made.gate.status()["connections"]
            made.links.set("a", "b", OPEN)
            await until_open(made, 0)

    asyncio.run(story())


def test_a_delay_counts_in_twin_time_and_once_for_each_way() -> None:
    async def story() -> float:
        async with world(speed=10) as made:
            reader, writer = await made.connect()
            writer.write(b"x")
            await reader.readexactly(1)
            made.links.set("a", "b", Way(delay_ms=2_000))
            made.links.set("b", "a", Way(delay_ms=1_000))
            begun_s = made.clock.now_s()
            writer.write(b"y")
            await reader.readexactly(1)
            writer.close()
            return made.clock.now_s() - begun_s

    assert 3.0 <= asyncio.run(story())


def test_a_throughput_is_shared_by_the_connections_of_a_gate() -> None:
    async def story() -> float:
        async with world() as made:
            ends = [await made.connect() for _ in range(2)]
            for reader, writer in ends:
                writer.write(b"x")
                await reader.readexactly(1)
            made.links.set("a", "b", Way(bytes_per_s=400_000))
            begun_s = made.clock.now_s()
            for _, writer in ends:
                writer.write(bytes(100_000))
            for reader, writer in ends:
                await reader.readexactly(100_000)
                writer.close()
            return made.clock.now_s() - begun_s

    assert 0.45 <= asyncio.run(story())


def test_what_does_not_exist_does_not_answer_and_a_dead_peer_breaks_the_connection() -> None:
    async def story() -> None:
        async with world() as made:
            made.peer = None
            reader, writer = await made.connect()
            writer.write(b"x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), SILENCE_S)
            writer.close()
            made.peer = Peer("b", "127.0.0.1", 1)
            reader, writer = await made.connect()
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await reader.read(1)
            writer.close()
            await until_open(made, 0)

    asyncio.run(story())


def test_a_connection_that_no_rule_allows_is_told_once_and_never_answered() -> None:
    async def story() -> list[str]:
        async with world(refusal="no rule lets the service reach port 5432") as made:
            for _ in range(2):
                reader, writer = await made.connect()
                writer.write(b"x")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), SILENCE_S)
                writer.close()
            return [event.text for event in made.timeline.kept()]

    assert ["no rule lets the service reach port 5432"] == asyncio.run(story())


def test_breaking_a_peer_resets_both_ends_of_its_connections_only() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            writer.write(b"x")
            await reader.readexactly(1)
            made.gate.break_all(Peer("b", "127.0.0.1", 1))
            writer.write(b"y")
            await reader.readexactly(1)
            made.gate.break_all(made.peer)
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await reader.read(1)
            await until_open(made, 0)
            writer.close()

    asyncio.run(story())


def test_an_address_that_is_taken_is_one_clear_failure() -> None:
    async def story() -> None:
        async with world() as made:
            second = Gate(
                "second",
                Listen("a", "127.0.0.1", made.port),
                lambda: None,
                clock=made.clock,
                links=made.links,
                timeline=made.timeline,
            )
            await second.start()

    with pytest.raises(PartFailed, match="second cannot listen on"):
        asyncio.run(story())


def test_what_is_slow_to_answer_is_so_over_a_fast_link_until_it_is_taken_back() -> None:
    async def story() -> None:
        async with world() as made:
            reader, writer = await made.connect()
            made.gate.slow(["b"], 200)
            made.gate.slow(["elsewhere"], 5000)
            before_s = made.clock.now_s()
            writer.write(b"late")
            assert b"late" == await reader.readexactly(4)
            assert 0.2 <= made.clock.now_s() - before_s < 5
            made.gate.slow(["b"], -200)
            assert OPEN == made.links.way("b", "a")
            before_s = made.clock.now_s()
            writer.write(b"soon")
            assert b"soon" == await reader.readexactly(4)
            assert made.clock.now_s() - before_s < 0.2
            writer.close()

    asyncio.run(story())

"""The control API takes the next port when one is taken, and reads no more than it must."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from evertill.twin.control.wire import BODY_SIZE_MAX_BYTES, HOST, Call, Reply, Wire, reply

JSON = {"content-type": "application/json"}


@asynccontextmanager
async def wired(port: int = 0) -> AsyncIterator[Wire]:
    async def endpoint(call: Call) -> Reply:
        return reply(200, {"path": call.path, "length": len(call.body)})

    wire = Wire(port, endpoint)
    wire.start()
    try:
        yield wire
    finally:
        await wire.stop()


def test_a_port_that_is_taken_is_passed_over() -> None:
    async def story() -> str:
        with socket.create_server((HOST, 0)) as taken:
            port: int = taken.getsockname()[1]
            async with wired(port) as wire, httpx.AsyncClient(trust_env=False) as client:
                assert port < int(wire.url.rpartition(":")[2])
                return (await client.get(f"{wire.url}/a%20b")).text

    assert '{"path":"/a b","length":0}' == asyncio.run(story())


def test_a_body_that_is_too_large_is_refused() -> None:
    async def story() -> list[int]:
        async with wired() as wire, httpx.AsyncClient(trust_env=False) as client:
            bodies = (b"x" * BODY_SIZE_MAX_BYTES, b"x" * (BODY_SIZE_MAX_BYTES + 1))
            answers = [await client.post(wire.url, content=body, headers=JSON) for body in bodies]
            return [answer.status_code for answer in answers]

    assert [200, 413] == asyncio.run(story())

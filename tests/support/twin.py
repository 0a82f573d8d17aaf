"""Pieces of a twin for its tests: a region's AWS API over real sockets, and its emulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from evertill.twin.addresses import Site
from evertill.twin.api.messages import Endpoint
from evertill.twin.api.server import ApiServer, Guard
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.parts.emulator import Emulator
from evertill.twin.processes import Processes

REGION = "us-east-1"
API_PORT = 4566
DEADLINE_S = 30.0
# One folder for all tests of the machine: they run beside each other.


def site_of_the_test() -> Site:
    """Return a site that no other test has."""
    return Site()


@asynccontextmanager
async def api(
    endpoints: Mapping[str, Endpoint], site: Site, region: str = REGION, guard: Guard | None = None
) -> AsyncIterator[ApiServer]:
    """Run the AWS API of a region at an address of `site`."""
    octet = sum(region.encode()) % 250 + 1
    server = ApiServer(region, (f"127.{site.number}.{octet}.1", API_PORT), endpoints, guard)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def emulator(folder: Path, site: Site, region: str = REGION) -> AsyncIterator[Emulator]:
    """Run a region's emulator with its data in `folder`."""
    octet = sum(region.encode()) % 250 + 1
    processes = Processes(folder / f"processes-{region}")
    address = (f"127.{site.number}.{octet}.2", API_PORT)
    timeline = Timeline(Clock())
    part = Emulator(region, address, folder / region, processes, timeline)
    await part.start()
    try:
        yield part
    finally:
        await part.stop()
        await processes.end_all()


def client(service: str, url: str, region: str = REGION, **config: Any) -> Any:
    """Return a boto3 client of a service, which tries once."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


async def ask(call: Callable[..., Any], **parameters: Any) -> Any:
    """Call boto3, which waits, beside the event loop that answers it."""
    return await asyncio.to_thread(lambda: call(**parameters))


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until a condition holds, within the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)

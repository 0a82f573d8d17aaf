"""The command line against two regions that really run: killed at every turn, and with one lost.

One twin serves all of it, because it takes a while to start: the writer moves to the other region,
and back again when that one is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.support.assembly import shared_assembly
from tests.support.databases import make_folder

from evertill.quickstart import demo
from evertill.quickstart.state import State
from evertill.twin.links import Links, Way
from evertill.twin.running.session import running
from evertill.twin.running.twin import Twin

pytestmark = [
    pytest.mark.skipif(not os.environ.get("EVERTILL_TEST_TWIN"), reason="`make test-twin` does"),
    pytest.mark.timeout(900),
]
DEADLINE_S = 180.0
RUN_TIMEOUT_S = 240.0
SPEED = 4.0
ACTIVE, STANDBY = "us-east-1", "us-east-2"


class Operator:
    """Somebody with a shell, a folder for the runs, and an API key of a merchant."""

    def __init__(self, twin: Twin, folder: Path, key: str) -> None:
        self.twin = twin
        self.folder = folder / "runs"
        self.key = key
        endpoints = " ".join(f"{name}={url}" for name, url in twin.endpoints.items())
        self.environment = {
            **os.environ,
            "EVERTILL_RECOVERY_ENDPOINTS": endpoints,
            "EVERTILL_RECOVERY_AUTHORITIES": str(twin.ground.authorities),
            "EVERTILL_RECOVERY_API_KEY": key,
            "EVERTILL_TIME_SCALE": str(SPEED),
        }

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "evertill.cli",
            "recovery",
            *arguments,
            f"--folder={self.folder}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )

    async def types(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end; return status, output and what it said beside."""
        process = await self.start(*arguments)
        async with asyncio.timeout(RUN_TIMEOUT_S):
            output, said = await process.communicate()
        return process.returncode or 0, output.decode(), said.decode()

    async def is_told(self, *arguments: str) -> dict[str, Any]:
        status, output, said = await self.types(*arguments, "--json")
        assert 0 == status, said
        document: dict[str, Any] = json.loads(output)
        return document

    async def is_killed_at_every_line(self, *arguments: str) -> int:
        """Kill the command whenever its journal has grown, and run it again; return how often."""
        kills, lines = 0, self._lines()
        while True:
            process = await self.start(*arguments)
            talking = asyncio.create_task(process.communicate())
            while process.returncode is None and self._lines() == lines:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.002)
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
            _, said = await talking
            if process.returncode == 0:
                return kills
            assert -signal.SIGKILL == process.returncode, said.decode()
            kills, lines = kills + 1, self._lines()

    def _lines(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("*/*.ndjson"))

    async def pays(self, region: str) -> tuple[int, str]:
        """Ask a region by its own name for a payment; return the status and the code."""
        address = self.twin.regions[region].balancers[0].addresses()[0]
        name = f"{region}.payments.evertill.internal"
        context = ssl.create_default_context(cafile=str(self.twin.ground.authorities))
        async with httpx.AsyncClient(verify=context, timeout=30) as client:
            answer = await client.post(
                f"https://{address}:8443/v1/payments",
                json={"amount": 1099, "currency": "USD", "source": f"tok_{uuid4().hex}"},
                headers={
                    "host": name,
                    "authorization": f"Bearer {self.key}",
                    "idempotency-key": uuid4().hex,
                },
                extensions={"sni_hostname": name},
            )
        return answer.status_code, answer.json().get("code", "")


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - parts of the twin tell nobody here
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None


def is_ready(twin: Twin) -> bool:
    services = [item for region in twin.regions.values() for item in region.services]
    checks = [check["is_healthy"] for check in twin.checker.status().values()]
    return all(item.is_steady for item in services) and sorted(checks) == [False, True]


async def lose(twin: Twin, region: str) -> None:
    """Let everything of a region end, its API too."""
    for way in ((region, Links.ANY), (Links.ANY, region)):
        twin.ground.links.set(*way, Way(is_cut=True))
    await twin.apis[region].stop()
    lost = twin.regions[region]
    for cluster in twin.databases.clusters.values():
        if cluster.spec.region == region:
            await cluster.hold(
                *(item.zone for item in (*cluster.spec.instances, *cluster.spec.logs))
            )
    for zone in twin.ground.plan.places.regions[region]:
        for service in lost.services:
            await service.lose_zone(zone)
        for balancer in lost.balancers:
            await balancer.node(zone).kill()


async def a_switchover_that_is_killed_all_the_time(operator: Operator) -> None:
    assert (201, "") == await operator.pays(ACTIVE)
    assert (503, "not_the_writer") == await operator.pays(STANDBY)
    guarded = await operator.is_told("guard", "set")
    assert {"region": ACTIVE, "before_s": None, "limit_s": 20} == guarded
    arguments = ("run", "switchover", "--to", STANDBY, f"--confirm=switch over to {STANDBY}")
    kills = await operator.is_killed_at_every_line(*arguments, "--json")
    assert kills > 14
    assert (201, "") == await operator.pays(STANDBY)
    assert (503, "not_the_writer") == await operator.pays(ACTIVE)
    seen = await operator.is_told("status")
    guards = {item["name"]: item["database"]["guard"] for item in seen["snapshot"]["regions"]}
    assert {ACTIVE: None, STANDBY: 20} == {name: it["limit_s"] for name, it in guards.items()}
    assert {ACTIVE: "standby", STANDBY: "writer"} == seen["roles"]
    # Once over in spite of the kills: one epoch more, and no second one by a step done twice.
    assert 2 == seen["snapshot"]["lease"]["epoch"]
    assert seen["is_well"], seen["findings"]


async def a_failover_that_is_refused_while_the_primary_lives(operator: Operator) -> None:
    status, _, said = await operator.types("run", "failover", "--to", ACTIVE)
    assert 1 == status
    assert f"{STANDBY} is alive" in said
    assert "--old-primary-is-lost" in said


async def a_failover_from_a_region_that_is_gone(operator: Operator) -> None:
    await until(lambda: is_ready(operator.twin), "health checks that know the writer")
    await lose(operator.twin, STANDBY)
    plan = await operator.is_told("plan", "failover", "--to", ACTIVE)
    assert plan["phrase"].startswith("lose up to ")
    status, _, said = await operator.types("run", "failover", "--to", ACTIVE, "--confirm=yes")
    assert 1 == status
    assert "Nothing was changed" in said
    arguments = ("run", "failover", "--to", ACTIVE, "--confirm=lose up to 1000 payments")
    report = await operator.is_told(*arguments)
    assert "ended" == report["state"]
    assert report["steps_s"]["fence"] > 5
    assert (201, "") == await operator.pays(ACTIVE)
    parts = {part["name"]: part["seconds"] for part in report["parts"]}
    assert all(parts[name] is not None for name in ("fence", "promote", "route", "first success"))


def test_the_writer_moves_as_planned_and_when_its_region_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assembly = shared_assembly(tmp_path_factory, "dev")
    folder = make_folder()

    async def story() -> None:
        async with running(
            assembly.folder, folder, say=lambda _: None, speed=SPEED, count_max=1
        ) as twin:
            await until(lambda: is_ready(twin), "a steady twin with one ready region")
            url = await twin.databases.owner_url()
            assert url is not None
            key = await asyncio.to_thread(demo.find_or_make_key, State(folder), url)
            operator = Operator(twin, folder, key)
            await a_switchover_that_is_killed_all_the_time(operator)
            await a_failover_that_is_refused_while_the_primary_lives(operator)
            await a_failover_from_a_region_that_is_gone(operator)

    try:
        asyncio.run(story())
    finally:
        shutil.rmtree(folder, ignore_errors=True)

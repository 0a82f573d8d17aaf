"""The dev templates run as two regions: a payment comes in by the front door and is replicated.

They are the committed ones, laid out as `make up` does, so this is what a newcomer runs.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from scripts.assembly import lay_out
from tests.support.databases import make_folder

from evertill.quickstart import demo
from evertill.quickstart.state import State
from evertill.twin.parts.database_endpoints import operator_endpoints
from evertill.twin.running.session import TwinRuns, running
from evertill.twin.running.twin import Twin

# Two whole regions take all of a small machine, and tests beside them starve: `make test-twin`
# runs this one alone, as `make test` does after all others.
ALONE = "EVERTILL_TEST_TWIN"
pytestmark = [
    pytest.mark.skipif(not os.environ.get(ALONE), reason="`make test-twin` runs it alone"),
    pytest.mark.timeout(400),
]
DEADLINE_S = 180.0
SPEED = 10.0
TASKS = 1
PAYMENT = {"amount": 1099, "currency": "USD", "source": "tok_twin"}


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - parts of the twin tell nobody here
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None


def is_ready(twin: Twin) -> bool:
    """Tell whether both services are steady and DNS has found out who is ready."""
    services = [item for region in twin.regions.values() for item in region.services]
    checks = twin.checker.status().values()
    return all(item.is_steady for item in services) and [True, False] == sorted(
        (check["is_healthy"] for check in checks), reverse=True
    )


async def ask(twin: Twin, key: str, method: str, path: str, body: object = None) -> httpx.Response:
    """Ask the service through the front door."""
    assert twin.door is not None
    port = next(port for port, behind in twin.door.doors.ports if behind == 443)
    context = ssl.create_default_context(cafile=str(twin.ground.authorities))
    async with httpx.AsyncClient(verify=context, timeout=30) as client:
        return await client.request(
            method,
            f"https://localhost:{port}{path}",
            json=body,
            headers={"authorization": f"Bearer {key}", "idempotency-key": "from-the-test"},
        )


def client(twin: Twin, service: str, region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=twin.endpoints[region],
        aws_access_key_id="operator",
        aws_secret_access_key="operator",
    )


async def key_of(twin: Twin, folder: Path) -> str:
    """Return the demonstration's key, as soon as the twin is ready for it."""
    await until(lambda: is_ready(twin), "a steady twin with one ready region")
    url = await twin.databases.owner_url()
    assert url is not None
    key = await asyncio.to_thread(demo.find_or_make_key, State(folder), url)
    demo.write(State(folder), demo.Demo("", key))
    return key


async def until_the_standby_has_it(twin: Twin) -> None:
    """Look for the one payment through the other region's reader endpoint."""
    endpoints = operator_endpoints(twin.ground.plan.database_gates)
    host = endpoints["us-east-2/database/payment-db-dev", "reader"]
    login = make_conninfo(await twin.databases.owner_url() or "", host=host)
    async with asyncio.timeout(DEADLINE_S):
        rows: list[tuple[int]] = []
        while rows != [(1,)]:
            async with await psycopg.AsyncConnection.connect(login) as connection:
                counted = await connection.execute("SELECT count(*) FROM evertill.payments")
                rows = await counted.fetchall()


def test_the_dev_templates_run_take_a_payment_and_have_it_after_a_restart() -> None:
    assembly = lay_out("dev")
    folder = make_folder()
    seen: list[int] = []
    taken: dict[str, str] = {}

    def twin_run() -> AbstractAsyncContextManager[Twin]:
        return running(assembly, folder, say=lambda _: None, speed=SPEED, count_max=TASKS)

    async def story() -> None:
        async with twin_run() as twin:
            with pytest.raises(TwinRuns):
                async with twin_run():
                    pass
            key = taken["key"] = await key_of(twin, folder)
            answer = await ask(twin, key, "POST", "/v1/payments", PAYMENT)
            assert 201 == answer.status_code, answer.text
            taken.update(answer.json())
            assert "captured" == taken["status"]
            decided = await ask(twin, key, "POST", "/v1/validations", PAYMENT)
            assert 200 == decided.status_code, decided.text
            rds = client(twin, "rds", "us-east-2")
            (group,) = (await asyncio.to_thread(rds.describe_global_clusters))["GlobalClusters"]
            writers = [m["DBClusterArn"] for m in group["GlobalClusterMembers"] if m["IsWriter"]]
            assert ["us-east-1"] == [arn.split(":")[3] for arn in writers]
            await until_the_standby_has_it(twin)
            seen.extend(owned.pid for owned in twin.ground.processes.running())

    async def sequel() -> None:
        async with twin_run() as twin:
            assert taken["key"] == await key_of(twin, folder)
            path = f"/v1/payments/{taken['id']}"
            answer = await ask(twin, taken["key"], "GET", path)
            assert taken["id"] == answer.json()["id"], answer.text
            again = await ask(twin, taken["key"], "POST", "/v1/payments", PAYMENT)
            assert (201, taken["id"]) == (again.status_code, again.json()["id"])

    try:
        asyncio.run(story())
        assert len(seen) > 10
        assert [] == [pid for pid in seen if psutil.pid_exists(pid)]
        asyncio.run(sequel())
    finally:
        shutil.rmtree(folder, ignore_errors=True)

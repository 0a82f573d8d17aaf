"""A region is lost with payments in it, comes back, is accounted for, and writes again.

It is apart from the other story on the twin because that one ends with a region that stays lost.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.recovery.test_on_the_twin import (
    ACTIVE,
    SPEED,
    STANDBY,
    Operator,
    is_ready,
    pytestmark,
    until,
)
from tests.support.assembly import shared_assembly
from tests.support.databases import make_folder

from evertill.quickstart import demo
from evertill.quickstart.state import State
from evertill.twin.links import OPEN, Way
from evertill.twin.parts.postgres import Instance
from evertill.twin.parts.small_disk import SmallDisk
from evertill.twin.running.session import running
from evertill.twin.running.twin import Twin

__all__ = ["pytestmark"]

REPLICATED, LOST = 3, 5
KEPT = "kept-payment-db-dev-"
Json = dict[str, Any]


async def pay(operator: Operator, region: str, key: str = "", amount: int = 1099) -> Json:
    """Take a payment in a region; the same key is the same request."""
    key = key or uuid4().hex
    address = operator.twin.regions[region].balancers[0].addresses()[0]
    name = f"{region}.payments.evertill.internal"
    context = ssl.create_default_context(cafile=str(operator.twin.ground.authorities))
    async with httpx.AsyncClient(verify=context, timeout=30) as client:
        answer = await client.post(
            f"https://{address}:8443/v1/payments",
            json={"amount": amount, "currency": "USD", "source": f"tok_{key}"},
            headers={
                "host": name,
                "authorization": f"Bearer {operator.key}",
                "idempotency-key": key,
            },
            extensions={"sni_hostname": name},
        )
    assert 201 == answer.status_code, answer.text
    found: Json = answer.json()
    return found


@asynccontextmanager
async def restored(twin: Twin, folder: Path) -> AsyncIterator[str]:
    """Restore the copy of the old volume beside; give its URL."""
    world = next(iter(twin.databases.clusters.values())).world
    copies = [
        item for item in twin.databases.snapshots.of(ACTIVE) if item.identifier.startswith(KEPT)
    ]
    assert 1 == len(copies)
    place = folder / "restored"
    world.programs.make_folder(place)
    shutil.copytree(copies[0].data, place / "data", copy_function=shutil.copy2)
    (place / "data" / "standby.signal").unlink(missing_ok=True)
    for path in (place, *place.rglob("*")):
        world.programs.account.own(path)
    name = "restored/db-1"
    instance = Instance(
        name,
        "us-east-1a",
        SmallDisk(name, place, 0, world.programs.account, world.processes),
        programs=world.programs,
        processes=world.processes,
        secrets=world.secrets,
        upstream=("127.0.0.1", 1),
    )
    await instance.start({}, "local all all scram-sha-256\n")
    try:
        yield make_conninfo(instance.login(database_of(twin)), options="")
    finally:
        await instance.kill()


def database_of(twin: Twin) -> str:
    return next(
        cluster.spec.database
        for cluster in twin.databases.clusters.values()
        if cluster.spec.database
    )


async def payments_of(twin: Twin) -> set[str]:
    """Ask the server that writes; a region's API may be lost, and its secrets with it."""
    (group,) = twin.databases.groups.values()
    assert group.primary.writer is not None
    login = group.primary.writer.login(database_of(twin))
    connection = await psycopg.AsyncConnection.connect(login)
    async with connection:
        rows = await connection.execute("SELECT payment_id FROM evertill.payments")
        return {f"pay_{row[0].hex}" for row in await rows.fetchall()}


async def a_region_that_is_lost_with_payments(operator: Operator) -> list[str]:
    """Return what was lost; one of them was asked for again in the new region."""
    twin = operator.twin
    for _ in range(REPLICATED):
        await pay(operator, ACTIVE)
    await asyncio.sleep(1)
    for way in ((ACTIVE, STANDBY), (STANDBY, ACTIVE)):
        twin.ground.links.set(*way, Way(is_cut=True))
    keys = [uuid4().hex for _ in range(LOST)]
    lost = [(await pay(operator, ACTIVE, key))["id"] for key in keys]
    await twin.outages.lose_region(ACTIVE)
    for way in ((ACTIVE, STANDBY), (STANDBY, ACTIVE)):
        twin.ground.links.set(*way, OPEN)
    arguments = ("run", "failover", "--to", STANDBY, "--confirm=lose up to 1000 payments")
    report = await operator.is_told(*arguments)
    assert "ended" == report["state"]
    again = await pay(operator, STANDBY, keys[0])
    assert again["id"] != lost[0]
    assert not set(lost) & await payments_of(twin)
    return lost


async def its_return_as_a_standby(operator: Operator) -> None:
    await operator.twin.outages.restore_region(ACTIVE)
    status, output, said = await operator.types("failback", "--to", ACTIVE, "--only-rejoin")
    print(f"$ failback --only-rejoin\n{said}{output}")  # noqa: T201 - the runbook shows it
    assert 0 == status, said
    assert f"copied to {KEPT}" in said
    assert f"{ACTIVE} follows {STANDBY} in epoch 2" in said


async def an_account_of_every_payment(operator: Operator, lost: list[str], folder: Path) -> None:
    key = make_signing_key(operator)
    logs = [
        f"--log={region}=s3://{bucket}" for region, bucket in log_buckets(operator.twin).items()
    ]
    async with restored(operator.twin, folder) as url:
        output = folder / "reconciliation"
        asked = ["reconcile", f"--old={url}", *logs, f"--output={output}", f"--sign-with={key}"]
        status, told, said = await operator.types(*asked)
        print(f"$ reconcile\n{said}{told}")  # noqa: T201 - the runbook shows it
        assert 1 == status, said
        (proposal,) = output.glob("proposal-*.json")
        items = {item["subject"]: item for item in json.loads(proposal.read_text())["items"]}
        assert set(lost) == set(items), [item["reasons"] for item in items.values()]
        assert {"adopt": 1, "replay": LOST - 1} == {
            choice: sum(item["decision"] == choice for item in items.values())
            for choice in ("adopt", "replay")
        }
        status, told, said = await operator.types(*asked, f"--approve={proposal}", "--by=Ada")
        print(f"$ reconcile --approve\n{said}{told}")  # noqa: T201 - the runbook shows it
        print((output / "report.md").read_text())  # noqa: T201 - the runbook shows it
        assert 0 == status, told + said
    assert set(lost[1:]) <= await payments_of(operator.twin)


async def its_return_as_the_writer(operator: Operator, lost: list[str]) -> None:
    before = await payments_of(operator.twin)
    confirmed = f"--confirm=switch over to {ACTIVE}"
    status, output, said = await operator.types("failback", "--to", ACTIVE, confirmed)
    print(f"$ failback\n{said}{output}")  # noqa: T201 - the runbook shows it
    assert 0 == status, said
    await pay(operator, ACTIVE)
    assert before | set(lost[1:]) < await payments_of(operator.twin)


def make_signing_key(operator: Operator) -> str:
    made = client(operator, "kms", STANDBY).create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY"
    )
    return str(made["KeyMetadata"]["KeyId"])


def log_buckets(twin: Twin) -> dict[str, str]:
    found = {}
    for region, url in twin.endpoints.items():
        s3 = boto3.client("s3", endpoint_url=url, region_name=region, **CREDENTIALS)
        names = [item["Name"] for item in s3.list_buckets()["Buckets"]]
        is_replica = region != ACTIVE
        found[region] = next(
            name
            for name in names
            if name.startswith("payment-logs-dev") and name.endswith("-replica") == is_replica
        )
    return found


CREDENTIALS = {"aws_access_key_id": "operator", "aws_secret_access_key": "operator"}


def client(operator: Operator, service: str, region: str) -> Any:
    url = operator.twin.endpoints[region]
    return boto3.client(service, endpoint_url=url, region_name=region, **CREDENTIALS)


def test_a_region_that_was_lost_is_accounted_for_and_writes_again(
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
            lost = await a_region_that_is_lost_with_payments(operator)
            await its_return_as_a_standby(operator)
            await an_account_of_every_payment(operator, lost, folder)
            await its_return_as_the_writer(operator, lost)

    try:
        asyncio.run(story())
    finally:
        shutil.rmtree(folder, ignore_errors=True)

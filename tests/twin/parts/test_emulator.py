"""An emulator that is killed is started again, with its data, and nothing is answered before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.twin import REGION, api, ask, client, emulator, site_of_the_test, until

from evertill.twin.api.messages import Endpoint
from evertill.twin.api.objects import Objects
from evertill.twin.api.relay import Relay
from evertill.twin.api.tables import Tables
from evertill.twin.links import Links
from evertill.twin.parts.emulator import Emulator
from evertill.twin.parts.global_tables import GlobalTables
from evertill.twin.parts.storage import SecretFile, Storage
from evertill.twin.plan.storage import BucketSpec, TableSpec

BUCKET = BucketSpec(region=REGION, name="log", is_versioned=True, has_lock=True)
OTHER = "us-east-2"
LEASE = TableSpec(
    regions=(REGION, OTHER),
    name="lease",
    keys=(("lease", "HASH"),),
    attributes=(("lease", "S"),),
    is_strong=True,
    witnesses=("us-west-2",),
)


async def kill(part: Emulator) -> None:
    assert part._owned is not None
    await part._owned.kill()
    await until(lambda: not part.is_ready)


async def code_of(call: Any) -> str:
    with pytest.raises(ClientError) as refused:
        await call
    return str(refused.value.response["Error"]["Code"])


def test_objects_and_leases_are_there_again_after_a_kill(tmp_path: Path) -> None:
    async def story() -> None:
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                storage = Storage(REGION, part.url, [BUCKET], SecretFile(tmp_path / "s"))
                ledger = GlobalTables(part.url, tmp_path / "tables", [LEASE])
                for made in (storage, ledger):
                    await made.start()
                    part.again.append(made.start)
                relay = Relay(part.url, lambda: part.is_ready)
                tables = Tables(REGION, relay, relay, specs=[LEASE], links=Links({}), ledger=ledger)
                endpoints: dict[str, Endpoint] = {"s3": Objects(relay, {}), "dynamodb": tables}
                async with api(endpoints, site) as server:
                    s3, dynamodb = (client(name, server.url) for name in ("s3", "dynamodb"))
                    await ask(s3.put_object, Bucket="log", Key="a", Body=b"1")
                    item = {"lease": {"S": "writer"}, "epoch": {"N": "7"}}
                    await ask(dynamodb.put_item, TableName="lease", Item=item)
                    await kill(part)
                    asked = ask(s3.get_object, Bucket="log", Key="a")
                    assert "ServiceUnavailable" == await code_of(asked)
                    await until(lambda: part.is_ready)
                    got = await ask(s3.get_object, Bucket="log", Key="a")
                    assert b"1" == got["Body"].read()
                    key = {"lease": {"S": "writer"}}
                    found = await ask(
                        dynamodb.get_item, TableName="lease", Key=key, ConsistentRead=True
                    )
                    assert item == found["Item"]
                await relay.close()

    asyncio.run(story())


def test_an_object_store_that_is_stopped_answers_503_and_has_its_objects_afterwards(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        is_stopped = False
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                await Storage(REGION, part.url, [BUCKET], SecretFile(tmp_path / "s")).start()
                relay = Relay(part.url)
                objects = Objects(relay, {}, lambda: is_stopped)
                async with api({"s3": objects}, site) as server:
                    s3 = client("s3", server.url)
                    await ask(s3.put_object, Bucket="log", Key="a", Body=b"1")
                    is_stopped = True
                    with pytest.raises(ClientError) as refused:
                        await ask(s3.put_object, Bucket="log", Key="b", Body=b"2")
                    answer = refused.value.response
                    assert 503 == answer["ResponseMetadata"]["HTTPStatusCode"]
                    assert "ServiceUnavailable" == answer["Error"]["Code"]
                    is_stopped = False
                    listed = await ask(s3.list_objects_v2, Bucket="log")
                    assert ["a"] == [item["Key"] for item in listed["Contents"]]
                await relay.close()

    asyncio.run(story())

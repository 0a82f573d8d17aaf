"""Objects, topics, secrets and tables: boto3 through the region's API into the emulator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.twin import api, ask, client, emulator, site_of_the_test

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Request, Scope
from evertill.twin.api.relay import Relay

SERVICES = ("s3", "sns", "secretsmanager", "dynamodb", "sts")


def test_boto3_reaches_every_emulated_service(tmp_path: Path) -> None:
    async def story() -> dict[str, Any]:
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                relay = Relay(part.url)
                async with api(dict.fromkeys(SERVICES, relay), site) as server:
                    found = await use(server.url)
                await relay.close()
                return found

    async def use(url: str) -> dict[str, Any]:
        s3, sns, secrets, dynamodb, sts = (client(name, url) for name in SERVICES)
        await ask(s3.create_bucket, Bucket="logs")
        await ask(s3.put_object, Bucket="logs", Key="a b/ü+1", Body=b"x" * 3_000_000)
        got = await ask(s3.get_object, Bucket="logs", Key="a b/ü+1")
        head = await ask(s3.head_object, Bucket="logs", Key="a b/ü+1")
        topic = await ask(sns.create_topic, Name="alerts")
        await ask(secrets.create_secret, Name="admin", SecretString="s")
        secret = await ask(secrets.get_secret_value, SecretId="admin")
        key = {"AttributeName": "lease", "AttributeType": "S"}
        await ask(
            dynamodb.create_table,
            TableName="lease",
            AttributeDefinitions=[key],
            KeySchema=[{"AttributeName": "lease", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        item = {"lease": {"S": "writer"}, "epoch": {"N": "1"}}
        await ask(dynamodb.put_item, TableName="lease", Item=item)
        row = await ask(dynamodb.get_item, TableName="lease", Key={"lease": {"S": "writer"}})
        return {
            "size": len(got["Body"].read()),
            "head": head["ContentLength"],
            "topic": topic["TopicArn"],
            "secret": secret["SecretString"],
            "row": row["Item"],
            "account": (await ask(sts.get_caller_identity))["Account"],
        }

    found = asyncio.run(story())
    assert (3_000_000, 3_000_000, "s") == (found["size"], found["head"], found["secret"])
    assert "arn:aws:sns:us-east-1:123456789012:alerts" == found["topic"]
    assert {"lease": {"S": "writer"}, "epoch": {"N": "1"}} == found["row"]
    assert "123456789012" == found["account"]


def test_objects_survive_an_emulator_that_is_killed(tmp_path: Path) -> None:
    async def story(*, is_first: bool) -> bytes:
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                s3 = client("s3", part.url)
                if is_first:
                    await ask(s3.create_bucket, Bucket="logs")
                    await ask(s3.put_object, Bucket="logs", Key="one", Body=b"1")
                    assert part._owned is not None
                    await part._owned.kill()
                    return b""
                got = await ask(s3.get_object, Bucket="logs", Key="one")
                body: bytes = got["Body"].read()
                return body

    asyncio.run(story(is_first=True))
    assert b"1" == asyncio.run(story(is_first=False))


@pytest.mark.parametrize("service", ["s3", "sns", "rds"])
def test_a_request_that_its_guard_refuses_is_told_so_in_its_protocol(
    service: str,
) -> None:
    async def refuse(_: Request, __: Scope) -> None:
        raise ApiError("AccessDenied", "The role has no right to do that.", 403)

    async def story() -> str:
        with site_of_the_test() as site:
            relay = Relay("http://127.0.0.1:1")
            async with api({service: relay}, site, guard=refuse) as server:
                asked = client(service, server.url)
                calls = {
                    "s3": "list_buckets",
                    "sns": "list_topics",
                    "rds": "describe_db_clusters",
                }
                with pytest.raises(ClientError) as refused:
                    await ask(getattr(asked, calls[service]))
            await relay.close()
            return str(refused.value.response["Error"]["Code"])

    assert "AccessDenied" == asyncio.run(story())


def test_an_emulator_that_is_gone_is_unavailable_and_not_an_empty_answer() -> None:
    async def story() -> int:
        with site_of_the_test() as site:
            relay = Relay("http://127.0.0.1:1")
            async with api({"dynamodb": relay}, site) as server:
                with pytest.raises(ClientError) as refused:
                    await ask(client("dynamodb", server.url).list_tables)
            await relay.close()
            return int(refused.value.response["ResponseMetadata"]["HTTPStatusCode"])

    assert 503 == asyncio.run(story())

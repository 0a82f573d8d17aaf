"""Logging in to a database through its gate, as RDS lets in and as it refuses."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import psycopg
import pytest
import trustme
from tests.support.databases import (
    MASTER,
    PASSWORD,
    Databases,
    databases,
    running,
    until,
    until_complete,
)

from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.database_gate import DatabaseGate, Rules
from evertill.twin.parts.database_tokens import Door
from evertill.twin.parts.gate import Listen
from evertill.twin.parts.identities import Identities, machine_time
from evertill.twin.policies import Statement

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/service"
OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
ARN = f"arn:aws:rds-db:{REGION}:123456789012:dbuser:cluster-A"
PORT = 5432


class Scene(NamedTuple):
    """A cluster behind a gate, with a user `app` who logs in by IAM."""

    world: Databases
    cluster: Cluster
    identities: Identities
    host: str
    authority: Path

    def words(self, user: str, password: str, **words: str) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": PORT,
            "user": user,
            "password": password,
            "dbname": "shop",
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority),
            "connect_timeout": 10,
            **words,
        }

    async def connect(self, user: str, password: str, **words: str) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            **self.words(user, password, **words), autocommit=True
        )

    async def token(self, role: str = ROLE, user: str = "app", region: str = REGION) -> str:
        """Return a token as the SDK makes it, which takes so long that the gate goes on beside."""
        return await asyncio.to_thread(self._token, role, user, region)

    def _token(self, role: str, user: str, region: str) -> str:
        keys = self.identities.issue(role)
        session = boto3.Session(
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.token,
            region_name=region,
        )
        made: str = session.client("rds").generate_db_auth_token(self.host, PORT, user, region)
        return made

    async def refused(self, user: str, password: str, **words: str) -> str:
        with pytest.raises(psycopg.OperationalError) as caught:
            await self.connect(user, password, **words)
        return str(caught.value)

    def reasons(self) -> list[str]:
        kept = self.world.timeline.kept()
        return [event.text for event in kept if event.kind == "database.login_refused"]


@asynccontextmanager
async def scene(instances: int = 1, late: timedelta = timedelta()) -> AsyncIterator[Scene]:
    async with databases() as made:
        cluster = made.cluster(made.spec(instances=instances))
        host = made.addresses.take("us-east-1a", "service to db")
        authority = trustme.CA()
        file = made.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(context)
        grant = Statement(is_allow=True, actions=("rds-db:connect",), resources=(f"{ARN}/app",))
        identities = Identities("127.0.0.1", 0, {ROLE: [grant]})
        gate = DatabaseGate(
            f"{REGION}/gate/service to db",
            Listen("us-east-1a", host, PORT),
            cluster.writer_peer,
            rules=Rules(
                tls=context,
                find_door=lambda: Door([f"{host}:{PORT}"], REGION, ARN),
                force_ssl=True,
                identities=identities,
                is_waiting=cluster.is_waiting,
                now=lambda: machine_time() + late,
            ),
            clock=made.clock,
            links=made.links,
            timeline=made.timeline,
        )
        async with running(cluster):
            await until_complete(cluster)
            await identities.start()
            await gate.start()
            ready = Scene(made, cluster, identities, host, file)
            owner = await ready.connect(MASTER, PASSWORD)
            async with owner:
                await owner.execute("CREATE ROLE app LOGIN")
                await owner.execute("GRANT rds_iam TO app")
                await owner.execute("CREATE TABLE things (id int)")
                await owner.execute("GRANT ALL ON things TO app")
            yield ready
            await gate.stop()
            await identities.stop()


def test_a_token_of_the_sdk_lets_its_user_in_over_tls() -> None:
    async def story() -> None:
        async with scene() as made:
            connection = await made.connect("app", await made.token())
            async with connection:
                row = await (await connection.execute("SELECT current_user")).fetchone()
                assert ("app",) == row

    asyncio.run(story())


def test_logins_that_rds_refuses_are_refused_and_the_operator_is_told_why() -> None:
    async def story() -> None:
        async with scene() as made:
            refusal = 'PAM authentication failed for user "app"'
            assert refusal in await made.refused("app", "no token")
            assert refusal in await made.refused("app", await made.token(user="somebody"))
            assert refusal in await made.refused("app", await made.token(region="us-east-2"))
            assert refusal in await made.refused("app", await made.token(OTHER_ROLE))
            assert refusal in await made.refused("app", await made.token() + "0")
            elsewhere = (await made.token()).replace(made.host, "db")
            assert refusal in await made.refused("app", elsewhere)
            reasons = made.reasons()
            assert 6 == len(reasons)
            assert "It is no IAM token." == reasons[0]
            assert "somebody" in reasons[1]
            assert "us-east-2" in reasons[2]
            assert f"No policy of {OTHER_ROLE} grants rds-db:connect" in reasons[3]
            assert "The signature does not verify." == reasons[4]
            assert reasons[5].startswith("It is for db:5432")
            good = await made.token()
            assert "no encryption" in await made.refused("app", good, sslmode="disable")
            assert "no encryption" in await made.refused(MASTER, PASSWORD, sslmode="disable")
            assert "password authentication failed" in await made.refused(MASTER, "wrong")
            assert "password authentication failed" in await made.refused("rdsadmin", "of-the-twin")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        (timedelta(minutes=16), "It has expired."),
        (timedelta(minutes=-10), "It was signed in the future."),
    ],
)
def test_a_token_is_good_for_fifteen_minutes(late: timedelta, reason: str) -> None:
    async def story() -> list[str]:
        async with scene(late=late) as made:
            await made.refused("app", await made.token())
            return made.reasons()

    assert [reason] == asyncio.run(story())


def test_a_cancel_request_reaches_the_session_that_it_names() -> None:
    async def story() -> None:
        async with scene() as made:
            connection = await made.connect("app", await made.token())
            async with connection:
                running_query = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
                await asyncio.sleep(0.2)
                await connection.cancel_safe()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    await running_query
                await connection.execute("SELECT 1")

    asyncio.run(story())


def test_a_commit_that_waits_is_not_cancelled_by_its_client() -> None:
    async def story() -> None:
        async with scene() as made:
            connection = await made.connect("app", await made.token())
            async with connection:
                zones = [item.place for item in made.cluster.receivers.values()]
                await made.cluster.hold(*zones)
                commit = asyncio.create_task(connection.execute("INSERT INTO things VALUES (1)"))
                await until_waiting(made.cluster)
                await connection.cancel_safe()
                await asyncio.sleep(0.3)
                assert not commit.done()
                made.cluster.release(*zones)
                await commit

    asyncio.run(story())


def test_a_commit_whose_wait_was_cancelled_inside_the_database_ends_as_unknown() -> None:
    async def story() -> None:
        async with scene() as made:
            connection = await made.connect("app", await made.token())
            zones = [item.place for item in made.cluster.receivers.values()]
            await made.cluster.hold(*zones)
            commit = asyncio.create_task(connection.execute("INSERT INTO things VALUES (1)"))
            await until_waiting(made.cluster)
            assert made.cluster.writer is not None
            await made.cluster.writer.ask(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            )
            with pytest.raises(psycopg.OperationalError):
                await commit
            await connection.close()
            made.cluster.release(*zones)

    asyncio.run(story())


def test_keys_are_handed_out_to_who_knows_the_path_and_to_nobody_else() -> None:
    async def story() -> None:
        identities = Identities("127.0.0.1", 0, {})
        await identities.start()
        uri = identities.uri(ROLE)
        async with httpx.AsyncClient(trust_env=False) as client:
            document = (await client.get(uri)).json()
            assert ROLE == document["RoleArn"]
            keys = identities.find(document["AccessKeyId"])
            assert keys is not None
            assert document["Token"] == keys.token
            assert 404 == (await client.get(uri + "x")).status_code
            assert 404 == (await client.post(uri)).status_code
        await identities.stop()

    asyncio.run(story())


async def until_waiting(cluster: Cluster) -> None:
    waiting: list[object] = []

    async def look() -> None:
        assert cluster.writer is not None
        while not waiting:
            waiting.extend(
                await cluster.writer.ask(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                )
            )
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), 30)
    await until(lambda: bool(waiting))

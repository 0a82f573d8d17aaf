"""The platform's own migration and login, through the gates that a plan describes."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import trustme
from tests.support.databases import (
    MASTER,
    PASSWORD,
    PATIENT,
    Databases,
    databases,
    running,
    until_complete,
)

from evertill.domain.signing import Credentials
from evertill.service.login import IamLogin
from evertill.storage import migrate, provisioning
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.database_endpoints import Surroundings, gate_of, operator_endpoints
from evertill.twin.parts.database_gate import DatabaseGate
from evertill.twin.parts.identities import Identities
from evertill.twin.plan.database_gates import DatabaseGateSpec, door_arn
from evertill.twin.policies import Statement

ROLE = "arn:aws:iam::123456789012:role/service"
USER = "payment_user"
SILENCE_S = 0.3


class Made(NamedTuple):
    """A cluster with a gate for each role, and what they show as certificate."""

    cluster: Cluster
    identities: Identities
    authority: Path
    gates: dict[str, tuple[DatabaseGateSpec, DatabaseGate]]

    def url(self, role: str, user: str) -> str:
        host = self.gates[role][0].host
        return (
            f"postgresql://{user}@{host}:5432/shop?sslmode=verify-full&sslrootcert={self.authority}"
        )

    async def login(self, role: str) -> str:
        keys = self.identities.issue(ROLE)
        credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.token)
        login = IamLogin(self.url(role, USER), self.cluster.spec.region)
        token = login.token(credentials, datetime.now(UTC))
        return psycopg.conninfo.make_conninfo(self.url(role, USER), password=token)


def make(world: Databases, cluster: Cluster, roles: tuple[str, ...]) -> Made:
    authority = trustme.CA()
    file = world.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))

    def context(host: str) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(made)
        return made

    target = f"{door_arn(cluster.spec)}/{USER}"
    grant = Statement(is_allow=True, actions=("rds-db:connect",), resources=(target,))
    identities = Identities("127.0.0.1", 0, {ROLE: [grant]})
    surroundings = Surroundings(
        clusters={cluster.name: cluster},
        global_clusters={},
        identities=identities,
        make_context=context,
        clock=world.clock,
        links=world.links,
        timeline=world.timeline,
    )
    specs = [
        DatabaseGateSpec(
            name=f"gate to {role}",
            consumer="us-east-1/us-east-1a/service",
            region="us-east-1",
            zone="us-east-1a",
            host=world.addresses.take("us-east-1a", f"service to {role}"),
            port=5432,
            target=cluster.name,
            role=role,
        )
        for role in roles
    ]
    gates = {spec.role: (spec, gate_of(spec, surroundings)) for spec in specs}
    return Made(cluster, identities, file, gates)


def test_the_platform_migrates_and_logs_in_as_it_does_on_aws() -> None:
    async def story() -> None:
        async with databases(PATIENT) as world:
            cluster = world.cluster(world.spec())
            made = make(world, cluster, ("writer", "reader"))
            async with running(cluster):
                await until_complete(cluster)
                for _, gate in made.gates.values():
                    await gate.start()
                admin = psycopg.conninfo.make_conninfo(
                    made.url("writer", MASTER), password=PASSWORD
                )
                await asyncio.to_thread(migrate.migrate, admin)
                await asyncio.to_thread(provisioning.create_iam_login, admin, USER)
                await asyncio.to_thread(provisioning.allow_login, admin, USER)
                assert [(False,)] == await ask(await made.login("writer"))
                assert [(True,)] == await ask(await made.login("reader"))
                for _, gate in made.gates.values():
                    await gate.stop()

    asyncio.run(story())


def test_a_writer_endpoint_without_a_writer_does_not_answer() -> None:
    async def story() -> None:
        async with databases() as world:
            cluster = world.cluster(world.spec())
            cluster.source = world.cluster(world.spec("us-east-2"))
            made = make(world, cluster, ("writer",))
            spec, gate = made.gates["writer"]
            await gate.start()
            _, writer = await asyncio.open_connection(spec.host, spec.port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), SILENCE_S)
            writer.close()
            await gate.stop()

    asyncio.run(story())


def test_outsiders_are_told_the_operators_addresses_only() -> None:
    def gate(consumer: str, host: str) -> DatabaseGateSpec:
        return DatabaseGateSpec(
            name=host,
            consumer=consumer,
            region="us-east-1",
            zone="us-east-1",
            host=host,
            port=5432,
            target="us-east-1/database/db",
            role="writer",
        )

    specs = [gate("us-east-1/us-east-1a/service", "a"), gate("us-east-1/us-east-1/operator", "b")]
    assert {("us-east-1/database/db", "writer"): "b"} == operator_endpoints(specs)


async def ask(login: str) -> list[tuple[bool, ...]]:
    connection = await psycopg.AsyncConnection.connect(login)
    async with connection:
        return await (await connection.execute("SELECT pg_is_in_recovery()")).fetchall()

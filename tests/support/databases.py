"""Database clusters of the twin for tests: real servers in a folder and a block of addresses."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from evertill.twin.addresses import Addresses, Site
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts.cluster import Cluster, World
from evertill.twin.parts.database_programs import Programs
from evertill.twin.parts.postgres import Instance, Secrets
from evertill.twin.plan.database_specs import ClusterSpec, MemberSpec
from evertill.twin.processes import Processes

DEADLINE_S: Final = 60.0
SILENCE_S: Final = 0.5
# For tests in which no server fails: it gives one that starves on a busy machine time to answer.
PATIENT: Final = 0.5
REGIONS: Final[dict[str, Sequence[str]]] = {
    "us-east-1": ("us-east-1a", "us-east-1b", "us-east-1c"),
    "us-east-2": ("us-east-2a", "us-east-2b", "us-east-2c"),
}
MASTER: Final = "owner"
PASSWORD: Final = "of-the-owner"  # noqa: S105 - it opens a database that lives for one test


class Databases:
    """What clusters live in, for one test."""

    def __init__(self, folder: Path, site: int, speed: float) -> None:
        """Keep everything in `folder`."""
        self.folder = folder
        self.clock = Clock(speed)
        self.links = Links({zone: region for region, zones in REGIONS.items() for zone in zones})
        self.timeline = Timeline(self.clock)
        self.addresses = Addresses(site, REGIONS)
        self.processes = Processes(folder / "processes")
        self.programs = Programs.find(folder)
        self.world = World(
            clock=self.clock,
            links=self.links,
            timeline=self.timeline,
            processes=self.processes,
            programs=self.programs,
            secrets=Secrets("of-the-twin", "of-the-copies"),
            resolve=self._resolve,
        )

    @staticmethod
    async def _resolve(text: str) -> str:
        return text

    def spec(
        self, region: str = "us-east-1", *, instances: int = 2, master: str = MASTER
    ) -> ClusterSpec:
        """Return a cluster with instances in the first zones and copies of the log in the rest."""
        zones = REGIONS[region]
        members = [
            self._member(f"db-{index + 1}", zone, index)
            for index, zone in enumerate(zones[:instances])
        ]
        logs = [self._member(f"log-{zone}", zone, 0) for zone in zones[instances:]]
        return ClusterSpec(
            region=region,
            identifier="db",
            arn=f"arn:aws:rds:{region}:123456789012:cluster:db",
            resource_id=f"cluster-{region.upper()}",
            engine="aurora-postgresql",
            engine_version="17.7",
            port=5432,
            instances=tuple(members),
            logs=tuple(logs),
            database="shop" if master else "",
            master=master,
            password=PASSWORD,
            owner=MASTER,
            iam=True,
            parameter_group=f"group-{region}",
        )

    def cluster(self, spec: ClusterSpec) -> Cluster:
        """Return a cluster that is not started."""
        return Cluster(spec, self.world, self.folder / spec.region)

    def _member(self, name: str, zone: str, tier: int) -> MemberSpec:
        host = self.addresses.take(zone, f"{name} upstream")
        return MemberSpec(identifier=name, zone=zone, host=host, port=5432, tier=tier)


def make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="evertill-test-"))
    # The servers' user, who is not root, has to get through.
    folder.chmod(0o755)
    return folder


@asynccontextmanager
async def databases(speed: float = 10.0) -> AsyncIterator[Databases]:
    """Give an empty world, and leave no process and no file behind."""
    folder = make_folder()
    made: Databases | None = None
    try:
        with Site() as site:
            made = Databases(folder, site.number, speed)
            yield made
            await made.processes.end_all()
    finally:
        if made is not None:
            await made.processes.end_all()
            made.programs.close()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def running(*clusters: Cluster) -> AsyncIterator[None]:
    """Start clusters and stop them in the end."""
    try:
        for cluster in clusters:
            await cluster.start()
        yield
    finally:
        for cluster in clusters:
            await cluster.stop()


async def until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Wait for a condition that nobody tells of."""
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline_s, f"{what} did not come true"
        await asyncio.sleep(0.02)


async def until_complete(cluster: Cluster) -> None:
    """Wait until every member of a cluster follows."""
    followers = [item for item in cluster.instances.values() if item is not cluster.writer]
    await until(
        lambda: all(
            item.is_running and cluster.tending.look_of(item).is_streaming for item in followers
        ),
        f"that {cluster.name} is complete: {cluster.status()}",
    )
    if cluster.is_primary:
        await until_receiving(cluster)


async def until_receiving(cluster: Cluster) -> None:
    """Wait until every copy of the log is received."""
    writer = cluster.writer
    assert writer is not None
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    wanted = {item.member for item in cluster.members() if item is not writer}
    while True:
        rows = await writer.ask("SELECT application_name FROM pg_stat_replication")
        if wanted <= {str(row[0]) for row in rows}:
            return
        assert asyncio.get_running_loop().time() < deadline_s, f"{wanted} of {rows}"
        await asyncio.sleep(0.05)


def owner_login(instance: Instance, database: str = "shop") -> str:
    """Return how the owner logs in over the socket of an instance, past every gate."""
    return make_conninfo(
        host=str(Path(instance.socket).parent),
        user=MASTER,
        password=PASSWORD,
        dbname=database,
        connect_timeout=5,
    )


class Load:
    """A client that commits one row after another and keeps a list of what was acknowledged."""

    def __init__(self, login: Callable[[], str | None]) -> None:
        """Log in wherever `login` says at the time."""
        self._login = login
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self._next = 0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Make the table."""
        login = self._login()
        assert login
        connection = await psycopg.AsyncConnection.connect(login, autocommit=True)
        async with connection:
            await connection.execute("CREATE TABLE taken (id int PRIMARY KEY)")

    @asynccontextmanager
    async def running(self, clients: int = 4) -> AsyncIterator[None]:
        """Keep committing in the background."""
        self._tasks = [asyncio.create_task(self._commit()) for _ in range(clients)]
        try:
            yield
        finally:
            self._stopping = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until_more(self, count: int = 20) -> None:
        """Wait until so many more commits were acknowledged."""
        wanted = len(self.acknowledged) + count
        await until(lambda: len(self.acknowledged) >= wanted, f"{count} more commits")

    async def _commit(self) -> None:
        while not self._stopping:
            login = self._login()
            if login is None:
                await asyncio.sleep(0.02)
                continue
            with contextlib.suppress(psycopg.Error):
                connection = await psycopg.AsyncConnection.connect(login, autocommit=True)
                async with connection:
                    await self._commit_on(connection)
            await asyncio.sleep(0.02)

    async def _commit_on(self, connection: psycopg.AsyncConnection) -> None:
        while not self._stopping:
            self._next += 1
            number = self._next
            try:
                await connection.execute("INSERT INTO taken VALUES (%s)", [number])
            except psycopg.Error:
                self.unknown.append(number)
                raise
            self.acknowledged.append(number)

    async def missing(self, login: str) -> set[int]:
        """Return which acknowledged rows a database does not have."""
        # What is acknowledged from here on may come too late for the rows that are read.
        wanted = set(self.acknowledged)
        connection = await psycopg.AsyncConnection.connect(login)
        async with connection:
            rows = await (await connection.execute("SELECT id FROM taken")).fetchall()
        return wanted - {row[0] for row in rows}


async def until_silent(load: Load) -> None:
    """Wait until no commit is acknowledged any more."""
    count = -1
    while count != len(load.acknowledged):
        count = len(load.acknowledged)
        await asyncio.sleep(SILENCE_S)

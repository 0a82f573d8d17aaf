"""Database instances that die or hang, and connections that leave no room for others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, ClassVar, Final

import msgspec
import psycopg

from evertill.twin.faults.fault import Fault, NotRun, TargetUnknown, Undo, Values, nothing
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.postgres import Instance
from evertill.twin.plan.database_gates import READER, WRITER
from evertill.twin.running.twin import Twin

# More than any instance here has room for.
STORM_MAX: Final = 500
STORM_TIMEOUT_S: Final = 10
STORM_AT_ONCE_MAX: Final = 20


def _clusters(twin: Twin, region: str = "") -> Iterator[Cluster]:
    for cluster in twin.databases.clusters.values():
        if not region or cluster.spec.region == region:
            yield cluster


def _writers(twin: Twin, region: str = "") -> list[Instance]:
    return [
        cluster.writer
        for cluster in _clusters(twin, region)
        if cluster.is_primary and cluster.writer is not None and cluster.writer.is_running
    ]


def _readers(twin: Twin, region: str = "") -> list[Instance]:
    """Return one instance that only reads of each cluster; a standby region's all do."""
    found = []
    for cluster in _clusters(twin, region):
        running = [item for item in cluster.standbys() if item.is_running]
        found += running[:1]
    return found


def _regions_of(twin: Twin, found: list[Instance]) -> list[Values]:
    region_of = twin.ground.plan.places.region_of_zones()
    return [{"region": name} for name in dict.fromkeys(region_of[item.place] for item in found)]


def _some(found: list[Instance], region: str) -> list[Instance]:
    if not found:
        message = f"No such database instance runs in {region} now."
        raise TargetUnknown(message)
    return found


def _frozen(found: list[Instance]) -> Undo:
    for instance in found:
        instance.freeze()

    async def thaw() -> None:
        for instance in found:
            # One that was replaced meanwhile was killed for it, and runs anew.
            if instance.is_frozen:
                instance.thaw()

    return thaw


class KillWriter(Fault, frozen=True):
    """Kill the writer."""

    kind: ClassVar[str] = "kill-writer"
    summary: ClassVar[str] = "Kill a region's database writer; a reader is promoted."
    passes: ClassVar[bool] = True

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region whose database takes writes."""
        return _regions_of(twin, _writers(twin))

    async def apply(self, twin: Twin) -> Undo:
        """Kill its whole process tree."""
        for instance in _some(_writers(twin, self.region), self.region):
            await instance.kill()
        return nothing


class FreezeWriter(Fault, frozen=True):
    """Let the writer hang."""

    kind: ClassVar[str] = "freeze-writer"
    summary: ClassVar[str] = (
        "Stop a region's database writer as it is (SIGSTOP), with its sessions."
    )

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region whose database takes writes."""
        return _regions_of(twin, _writers(twin))

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it; undo thaws it, if it was not found out and killed before."""
        return _frozen(_some(_writers(twin, self.region), self.region))


class KillReader(Fault, frozen=True):
    """Kill a reader."""

    kind: ClassVar[str] = "kill-reader"
    summary: ClassVar[str] = "Kill a region's database reader, or a standby; it is started again."
    passes: ClassVar[bool] = True

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region that has one."""
        return _regions_of(twin, _readers(twin))

    async def apply(self, twin: Twin) -> Undo:
        """Kill its whole process tree."""
        for instance in _some(_readers(twin, self.region), self.region):
            await instance.kill()
        return nothing


class FreezeReader(Fault, frozen=True):
    """Let a reader hang."""

    kind: ClassVar[str] = "freeze-reader"
    summary: ClassVar[str] = "Stop a region's database reader, or a standby, as it is (SIGSTOP)."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region that has one."""
        return _regions_of(twin, _readers(twin))

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it; undo thaws it, if it was not restarted before."""
        return _frozen(_some(_readers(twin, self.region), self.region))


class ConnectionStorm(Fault, frozen=True):
    """Take up a database's connections."""

    kind: ClassVar[str] = "connection-storm"
    summary: ClassVar[str] = "Open so many connections to a region's database and keep them."

    region: str
    connections: Annotated[int, msgspec.Meta(ge=1, le=STORM_MAX)] = 100

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region with a database that has an owner to log in as."""
        regions = [
            cluster.spec.region
            for cluster in _clusters(twin)
            if cluster.spec.master and cluster.spec.database
        ]
        return [{"region": region} for region in dict.fromkeys(regions)]

    async def apply(self, twin: Twin) -> Undo:
        """Log in as the owner, as often as there is room; undo closes what was opened."""
        cluster = next(_clusters(twin, self.region))
        role = WRITER if cluster.is_primary else READER
        url = await twin.databases.login_url(cluster.spec, role)
        if url is None:
            raise NotRun
        opened = await _opened(url, self.connections)
        if not opened:
            message = f"Not one connection to the database of {self.region} was to be had."
            raise NotRun(message)
        twin.ground.timeline.tell(
            self.region,
            cluster.name,
            "database.storm",
            f"{len(opened)} of {self.connections} connections got in.",
            connections=len(opened),
        )

        async def close() -> None:
            await asyncio.gather(*(connection.close() for connection in opened))

        return close


async def _opened(url: str, count: int) -> list[psycopg.AsyncConnection]:
    turn = asyncio.Semaphore(STORM_AT_ONCE_MAX)

    async def open_one() -> psycopg.AsyncConnection:
        async with turn:
            return await psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                connect_timeout=STORM_TIMEOUT_S,
                application_name="connection-storm",
            )

    outcomes = await asyncio.gather(*(open_one() for _ in range(count)), return_exceptions=True)
    return [item for item in outcomes if isinstance(item, psycopg.AsyncConnection)]

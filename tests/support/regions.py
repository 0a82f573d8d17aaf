"""Two regions of the twin's database in one global cluster, complete and under load, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.support.databases import (
    Databases,
    Load,
    databases,
    owner_login,
    running,
    until,
    until_complete,
)

from evertill.twin.links import Way
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.snapshots import Snapshots
from evertill.twin.plan.database_specs import GlobalSpec

EAST, WEST = "us-east-1", "us-east-2"


class Scene(NamedTuple):
    """Two regions that are complete, with a load on whichever is the primary."""

    world: Databases
    group: GlobalCluster
    east: Cluster
    west: Cluster
    load: Load

    def cut(self, way: Way) -> None:
        self.world.links.set(EAST, WEST, way)
        self.world.links.set(WEST, EAST, way)

    async def until_done(self) -> None:
        await until(lambda: self.group.change is None, "the end of the change")

    async def missing(self, cluster: Cluster) -> set[int]:
        assert cluster.writer is not None
        return await self.load.missing(owner_login(cluster.writer))


def login_of(cluster: Cluster) -> str | None:
    return owner_login(cluster.writer) if cluster.writer_peer() and cluster.writer else None


def regions_of(made: Databases) -> tuple[GlobalCluster, Cluster, Cluster]:
    east, west = (
        made.cluster(made.spec(EAST)),
        made.cluster(made.spec(WEST, master="", instances=1)),
    )
    spec = GlobalSpec(
        identifier="global",
        arn="arn:aws:rds::123456789012:global-cluster:global",
        resource_id="cluster-GLOBAL",
        engine="aurora-postgresql",
        engine_version="17.7",
        members=(east.spec.name, west.spec.name),
    )
    folder = made.folder / "global"
    group = GlobalCluster(spec, [east, west], made.world, folder, Snapshots(made.folder / "kept"))
    return group, east, west


@asynccontextmanager
async def two_regions() -> AsyncIterator[Scene]:
    async with databases() as made:
        group, east, west = regions_of(made)
        async with running(east, west):
            await group.start()
            await until_complete(east)
            await until_complete(west)
            load = Load(lambda: login_of(group.primary))
            await load.prepare()
            async with load.running():
                await load.until_more(50)
                yield Scene(made, group, east, west, load)
            await group.stop()

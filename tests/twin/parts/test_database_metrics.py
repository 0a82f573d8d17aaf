"""Figures of databases appear under RDS's names, in the region where RDS publishes them."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from tests.support.databases import until
from tests.support.regions import EAST, WEST, two_regions

from evertill.twin.links import Way
from evertill.twin.parts.database_metrics import DatabaseMetrics, memory_bytes

GIB = 1024**3
PAUSE_S = 0.2


class Store:
    """Keeps what is published: by region, name and dimensions."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[float]] = defaultdict(
            list
        )

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        **dimensions: str,
    ) -> None:
        assert "AWS/RDS" == namespace
        assert unit
        self.values[region, name, tuple(sorted(dimensions.items()))].append(value)

    def of(self, region: str, name: str, **dimensions: str) -> list[float]:
        return self.values.get((region, name, tuple(sorted(dimensions.items()))), [])


def test_each_region_has_its_figures_and_only_the_secondary_those_of_replication() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            store = Store()
            clusters = [scene.east, scene.west]
            metrics = DatabaseMetrics(clusters, [scene.group], store, scene.world.clock)
            await metrics.publish()
            scene.cut(Way(is_cut=True))
            await until(lambda: scene.group.lag_s(scene.west) > 2.0)
            await metrics.publish()
            cluster = {"DBClusterIdentifier": "db"}
            lags = store.of(WEST, "AuroraGlobalDBReplicationLag", **cluster)
            assert 2 == len(lags)
            assert lags[1] > 2_000
            assert lags == store.of(WEST, "AuroraGlobalDBRPOLag", **cluster)
            assert [] == store.of(EAST, "AuroraGlobalDBReplicationLag", **cluster)
            connections = store.of(EAST, "DatabaseConnections", DBInstanceIdentifier="db-1")
            assert min(connections) >= 1
            assert [0.0] == store.of(EAST, "Deadlocks", DBInstanceIdentifier="db-1")
            assert 2 == len(store.of(EAST, "AuroraReplicaLag", DBInstanceIdentifier="db-2"))
            for name in ("CPUUtilization", "FreeableMemory", "CommitThroughput"):
                assert min(store.of(EAST, name, **cluster)) >= 0
            # The server counts commits about once a second.
            while not any(store.of(EAST, "CommitThroughput", **cluster, Role="WRITER")):
                await asyncio.sleep(PAUSE_S)
                await metrics.publish()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("instance_class", "gib"),
    [
        ("db.r7g.large", 16),
        ("db.r7g.2xlarge", 64),
        ("db.r6g.16xlarge", 512),
        ("db.t4g.medium", 4),
        ("db.serverless", 16),
    ],
)
def test_memory_is_that_of_the_class(instance_class: str, gib: float) -> None:
    assert gib * GIB == memory_bytes(instance_class)

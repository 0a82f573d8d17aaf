"""What RDS publishes to CloudWatch about clusters, under its own names, units and regions.

It is separate because it only reads. Figures of replication between regions are published in the
secondary's region, so they fall silent when a region becomes the primary, and when it is lost.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Any, Final

import psutil
import psycopg

from evertill.twin.clock import Clock
from evertill.twin.part import Metrics
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.postgres import Instance

NAMESPACE: Final = "AWS/RDS"
PERIOD_S: Final = 60.0
ASK_TIMEOUT_S: Final = 3.0
MILLI: Final = 1000.0
GIB: Final = 1024**3
SIZES: Final = re.compile(r"^db\.([a-z]+)\d.*\.(\d*)(x?large|medium|small|micro)$")
# Gibibytes of the smallest `large` by family; every other size is a multiple of it.
LARGE_GIB: Final = {"r": 16.0, "x": 32.0, "t": 8.0, "m": 8.0}
OF_LARGE: Final = {"large": 1.0, "xlarge": 2.0, "medium": 0.5, "small": 0.25, "micro": 0.125}
ACTIVITY: Final = (
    "SELECT (SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND usename NOT LIKE 'rds%'),"
    " (SELECT sum(deadlocks) FROM pg_stat_database),"
    " (SELECT sum(xact_commit) FROM pg_stat_database)"
)


class Counters:
    """What an instance counted when it was last looked at."""

    def __init__(self) -> None:
        """Know nothing: the first look only begins to count."""
        self.cpu_s = 0.0
        self.deadlocks = 0.0
        self.commits = 0.0
        self.at_s = 0.0


class DatabaseMetrics:
    """Publishes the figures of all clusters once a minute of twin time."""

    def __init__(
        self,
        clusters: Sequence[Cluster],
        global_clusters: Sequence[GlobalCluster],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Read the parts and put into `metrics`."""
        self._clusters: Final = list(clusters)
        self._globals: Final = list(global_clusters)
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._counters: dict[str, Counters] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return the name."""
        return "database metrics"

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return nothing of interest."""
        return {"clusters": len(self._clusters)}

    async def _run(self) -> None:
        while True:
            await self.publish()
            await self._clock.sleep(PERIOD_S)

    async def publish(self) -> None:
        """Publish every figure once; an instance that does not answer publishes nothing."""
        for cluster in self._clusters:
            await asyncio.gather(
                *(self._instance(cluster, item) for item in cluster.instances.values())
            )
            self._replicas(cluster)
        for group in self._globals:
            self._between_regions(group)

    async def _instance(self, cluster: Cluster, instance: Instance) -> None:
        if not instance.is_running or instance.is_frozen:
            return
        try:
            rows = await instance.ask(ACTIVITY, timeout_s=ASK_TIMEOUT_S)
        except psycopg.Error:
            return
        connections, deadlocks, commits = (float(value or 0) for value in rows[0])
        cpu_s, used_bytes = await asyncio.to_thread(_usage, instance.tree())
        spec = next(i for i in cluster.spec.instances if i.identifier == instance.member)
        total_bytes = memory_bytes(spec.instance_class)
        self._put(cluster, instance, "DatabaseConnections", connections, "Count")
        free = max(0.0, total_bytes - used_bytes)
        self._put(cluster, instance, "FreeableMemory", free, "Bytes")
        self._rates(cluster, instance, (cpu_s, deadlocks, commits))

    def _rates(self, cluster: Cluster, instance: Instance, now: tuple[float, float, float]) -> None:
        """Publish what is told by the second. CPU is the machine's, so it counts real seconds."""
        before = self._counters.setdefault(instance.name, Counters())
        at_s = self._clock.now_s()
        seconds = at_s - before.at_s
        if before.at_s and seconds > 0 and now[0] >= before.cpu_s:
            busy = (now[0] - before.cpu_s) / self._clock.real_s(seconds)
            cores = psutil.cpu_count() or 1
            self._put(cluster, instance, "CPUUtilization", min(100, 100 * busy / cores), "Percent")
            deadlocks = max(0.0, now[1] - before.deadlocks) / seconds
            self._put(cluster, instance, "Deadlocks", deadlocks, "Count/Second")
            commits = max(0.0, now[2] - before.commits) / seconds
            self._put(cluster, instance, "CommitThroughput", commits, "Count/Second")
        before.cpu_s, before.deadlocks, before.commits = now
        before.at_s = at_s

    def _replicas(self, cluster: Cluster) -> None:
        if not cluster.is_primary:
            return
        for instance in cluster.standbys():
            if instance.is_running:
                replayed = cluster.tending.look_of(instance).replayed
                lag_s = cluster.meter.lag_s(replayed, self._clock.now_s())
                self._put(cluster, instance, "AuroraReplicaLag", lag_s * MILLI, "Milliseconds")

    def _between_regions(self, group: GlobalCluster) -> None:
        for cluster in group.secondaries():
            if cluster in group.abandoned or not any(
                item.is_running for item in cluster.instances.values()
            ):
                continue
            lag_ms = group.lag_s(cluster) * MILLI
            replayed = max(
                cluster.tending.look_of(item).replayed for item in cluster.instances.values()
            )
            progress_s = group.primary.meter.lag_s(replayed, self._clock.now_s())
            for name, value in (
                ("AuroraGlobalDBReplicationLag", lag_ms),
                ("AuroraGlobalDBRPOLag", lag_ms),
                ("AuroraGlobalDBProgressLag", progress_s * MILLI),
            ):
                self._metrics.put(
                    cluster.spec.region,
                    NAMESPACE,
                    name,
                    value,
                    "Milliseconds",
                    DBClusterIdentifier=cluster.spec.identifier,
                )

    def _put(
        self, cluster: Cluster, instance: Instance, name: str, value: float, unit: str
    ) -> None:
        """Publish a figure of an instance, for itself, its cluster, and its role in that."""
        is_writer = cluster.is_primary and instance is cluster.writer
        of_cluster = {"DBClusterIdentifier": cluster.spec.identifier}
        for dimensions in (
            {"DBInstanceIdentifier": instance.member},
            of_cluster,
            {**of_cluster, "Role": "WRITER" if is_writer else "READER"},
        ):
            region = cluster.spec.region
            self._metrics.put(region, NAMESPACE, name, value, unit, **dimensions)


def memory_bytes(instance_class: str) -> float:
    """Return the memory that an instance of a class has on AWS, 16 GiB for one we do not know."""
    parts = SIZES.match(instance_class)
    if parts is None:
        return LARGE_GIB["r"] * GIB
    family, count, size = parts.groups()
    large = LARGE_GIB.get(family[0], LARGE_GIB["r"])
    return large * OF_LARGE[size] * float(count or 1) * GIB


def _usage(processes: Sequence[psutil.Process]) -> tuple[float, float]:
    """Return the seconds of CPU and the bytes of memory, without counting shared ones twice."""
    cpu_s = used_bytes = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory = process.memory_info()
            used_bytes += memory.rss - getattr(memory, "shared", 0)
    return cpu_s, used_bytes

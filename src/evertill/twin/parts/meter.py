"""What ECS publishes about a service: processor and memory, and Container Insights' counts.

It is separate from the service because it measures real processes, which takes time, and only once
a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

from evertill.twin.clock import Clock
from evertill.twin.part import Metrics
from evertill.twin.parts.service import Service
from evertill.twin.parts.task import PENDING, Task

MINUTE_S: Final = 60.0
# In the middle of a minute, so that none has two values and the next none.
AT_S: Final = 30.0
CPU_UNITS_PER_CORE: Final = 1024
MIB: Final = 1024 * 1024
USAGE: Final = "AWS/ECS"
INSIGHTS: Final = "ECS/ContainerInsights"


class Meter:
    """Measures one service, which is a Part."""

    def __init__(self, service: Service, metrics: Metrics, clock: Clock) -> None:
        """Publish to `metrics` every minute of `clock`."""
        self._service: Final = service
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._seen: dict[str, tuple[float, float]] = {}
        self._memory_bytes = 0
        self._loop: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return its name as a part."""
        return f"{self._service.spec.region}/meter/{self._service.spec.name}"

    async def start(self) -> None:
        """Begin to measure."""
        self._loop = asyncio.create_task(self._measure())

    async def stop(self) -> None:
        """Measure no more."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop

    def status(self) -> dict[str, Any]:
        """Return the memory that the service's tasks had at the last measurement."""
        return {"memory_mib": self._memory_bytes // MIB}

    async def publish(self) -> None:
        """Measure and publish once.

        A service without a running task publishes nothing: Container Insights sends nothing for it
        either, so that an alarm on its count must take missing data for breaching.
        """
        running = self._service.running
        if not running:
            return
        used = [await asyncio.to_thread(self._usage, task) for task in running]
        self._seen = {task.id: self._seen[task.id] for task in running}
        self._memory_bytes = sum(memory for _, memory in used)
        for task, (cores, memory_bytes) in zip(running, used, strict=True):
            spec = task.spec
            units = cores * CPU_UNITS_PER_CORE
            self._put(USAGE, "CPUUtilization", 100 * units / spec.cpu_units, "Percent")
            share = 100 * memory_bytes / MIB / spec.memory_mib
            self._put(USAGE, "MemoryUtilization", share, "Percent")
            if self._service.spec.has_insights:
                self._put(INSIGHTS, "CpuUtilized", units, "None")
                self._put(INSIGHTS, "CpuReserved", spec.cpu_units, "None")
                self._put(INSIGHTS, "MemoryUtilized", memory_bytes / MIB, "Megabytes")
                self._put(INSIGHTS, "MemoryReserved", spec.memory_mib, "Megabytes")
        if self._service.spec.has_insights:
            self._put_counts(len(running))

    def _put_counts(self, running: int) -> None:
        """Publish the counts; where they are capped, a started task stands for several."""
        service = self._service
        share = service.stands_for
        pending = sum(hand.task.status == PENDING for hand in service.crew)
        self._put(INSIGHTS, "RunningTaskCount", round(running * share), "Count")
        self._put(INSIGHTS, "PendingTaskCount", round(pending * share), "Count")
        self._put(INSIGHTS, "DesiredTaskCount", service.count, "Count")
        deployments = {hand.deployment for hand in service.crew} | {service.primary.id}
        self._put(INSIGHTS, "DeploymentCount", len(deployments), "Count")

    def _usage(self, task: Task) -> tuple[float, int]:
        """Return the cores that a task used since it was last seen, and its memory."""
        now_s = time.monotonic()
        seconds, memory_bytes = task.usage()
        before, at_s = self._seen.get(task.id, (seconds, now_s))
        self._seen[task.id] = (seconds, now_s)
        elapsed_s = now_s - at_s
        # A process that ended takes its seconds along, so the sum may shrink.
        return max(0.0, seconds - before) / elapsed_s if elapsed_s > 0 else 0.0, memory_bytes

    async def _measure(self) -> None:
        while True:
            pause_s = (AT_S - self._clock.epoch_s()) % MINUTE_S
            await self._clock.sleep(pause_s or MINUTE_S)
            await self.publish()

    def _put(self, namespace: str, name: str, value: float, unit: str) -> None:
        spec = self._service.spec
        self._metrics.put(
            spec.region,
            namespace,
            name,
            value,
            unit,
            ClusterName=spec.cluster,
            ServiceName=spec.name,
        )

"""Tasks that die or hang: one of them, or all of a zone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from evertill.twin.faults.fault import (
    Fault,
    TargetUnknown,
    Undo,
    Values,
    frozen,
    nothing,
    regions,
    zones,
)
from evertill.twin.faults.network import DelayMs
from evertill.twin.links import OPEN, Links, Way
from evertill.twin.parts.task import RUNNING, Task
from evertill.twin.running.twin import Twin

ANY: Final = "any"


def tasks(twin: Twin) -> Iterator[Task]:
    """Give the tasks of all services that run and are not about to end."""
    for region in twin.regions.values():
        for service in region.services:
            yield from (
                hand.task
                for hand in service.crew
                if hand.task.status == RUNNING and not hand.is_leaving
            )


def task_targets(twin: Twin) -> list[Values]:
    """Return each task, and any one of a region."""
    anyone: list[Values] = [{"task": ANY, **region} for region in regions(twin)]
    each: list[Values] = [{"task": task.id} for task in tasks(twin)]
    return [*anyone, *each]


def chosen(twin: Twin, task_id: str, region: str) -> Task:
    """Return a task by its id, or the one of a region that has run for longest."""
    for task in tasks(twin):
        if task.id == task_id or (task_id == ANY and task.spec.region == region):
            return task
    message = f"No task runs in {region} now." if task_id == ANY else f"{task_id} does not run."
    raise TargetUnknown(message)


class KillTask(Fault, frozen=True):
    """Kill one task."""

    kind: ClassVar[str] = "kill-task"
    summary: ClassVar[str] = "Kill a task's processes; its service starts another."
    passes: ClassVar[bool] = True

    task: str
    region: str = ""

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each task, and any one of a region."""
        return task_targets(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Kill it."""
        await chosen(twin, self.task, self.region).kill()
        return nothing


class FreezeTask(Fault, frozen=True):
    """Let one task hang."""

    kind: ClassVar[str] = "freeze-task"
    summary: ClassVar[str] = "Stop a task as it is (SIGSTOP): it keeps its connections and hangs."

    task: str
    region: str = ""

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each task, and any one of a region."""
        return task_targets(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it; undo thaws it, if it was not replaced meanwhile."""
        return frozen([chosen(twin, self.task, self.region)])


class KillZoneTasks(Fault, frozen=True):
    """Kill all tasks of a zone."""

    kind: ClassVar[str] = "kill-zone-tasks"
    summary: ClassVar[str] = "Kill every task in a zone; their services start others."
    passes: ClassVar[bool] = True

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone."""
        return zones(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Kill them."""
        for task in _of_zone(twin, self.zone):
            await task.kill()
        return nothing


class FreezeZoneTasks(Fault, frozen=True):
    """Let all tasks of a zone hang."""

    kind: ClassVar[str] = "freeze-zone-tasks"
    summary: ClassVar[str] = "Stop every task in a zone as it is (SIGSTOP)."

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone."""
        return zones(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Freeze them; undo thaws those that were not replaced meanwhile."""
        return frozen(_of_zone(twin, self.zone))


class SlowTask(Fault, frozen=True):
    """Let one task answer late."""

    kind: ClassVar[str] = "slow-task"
    summary: ClassVar[str] = "Let all that a load balancer sends to a task arrive late."

    task: str
    delay_ms: DelayMs
    region: str = ""

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each task, and any one of a region."""
        return task_targets(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Delay what goes to the task's address, in twin time."""
        links, task = twin.ground.links, chosen(twin, self.task, self.region)
        links.take_in(task.address, task.zone)
        links.set(Links.ANY, task.address, Way(delay_ms=self.delay_ms), self.kind)

        async def undo() -> None:
            links.set(Links.ANY, task.address, OPEN, self.kind)
            links.let_go(task.address)

        return undo


def _of_zone(twin: Twin, zone: str) -> list[Task]:
    return [task for task in tasks(twin) if task.zone == zone]

"""Tasks that run once and end, such as a migration: started by a call, never restarted.

It is separate from the services because nobody keeps these up; whoever starts one waits for its
exit code.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from evertill.twin.addresses import Addresses
from evertill.twin.errors import TwinError
from evertill.twin.events import Timeline
from evertill.twin.parts.task import Task, TaskTools
from evertill.twin.plan.tasks import TaskSpec

RUNNING_MAX: Final = 20
STOPPED_MAX: Final = 50
USER: Final = "UserInitiated"


class TooManyTasks(TwinError):
    """As many one-off tasks run as this machine should carry."""

    code = "too_many_tasks"


class Runner:
    """The one-off tasks of a region, which is a Part."""

    def __init__(
        self,
        region: str,
        tools: TaskTools,
        folder: Path,
        *,
        addresses: Addresses,
        timeline: Timeline,
    ) -> None:
        """Run tasks of `region`, with their files in `folder`."""
        self._region: Final = region
        self._tools: Final = tools
        self._folder: Final = folder
        self._addresses: Final = addresses
        self._timeline: Final = timeline
        self._running: dict[str, Task] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._stopped: deque[Task] = deque()

    @property
    def name(self) -> str:
        """Return its name as a part."""
        return f"{self._region}/tasks/once"

    @property
    def tasks(self) -> list[Task]:
        """Return the tasks that run and the last ones that did."""
        return [*self._running.values(), *self._stopped]

    async def start(self) -> None:
        """Delete what an earlier twin left behind; tasks are run by `run`."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def stop(self) -> None:
        """End what still runs."""
        running = list(self._running.values())
        await asyncio.gather(*(task.stop(USER, "The twin ends") for task in running))
        await asyncio.gather(*self._ends)

    def status(self) -> dict[str, Any]:
        """Return the tasks."""
        return {"tasks": [task.as_dict() for task in self.tasks]}

    def run(self, spec: TaskSpec, zone: str) -> Task:
        """Start a task in a zone and return it; raise TooManyTasks or AddressesTaken."""
        if len(self._running) >= RUNNING_MAX:
            raise TooManyTasks
        task_id = uuid4().hex
        task = Task(
            task_id,
            spec,
            (zone, self._addresses.take(zone, task_id)),
            folder=self._folder / task_id,
            tools=self._tools,
        )
        self._running[task_id] = task
        self._say(task, "task.started", f"starts in {zone}")
        task.start()
        end = asyncio.create_task(self._await_end(task))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        return task

    def request_stop(self, task: Task, reason: str) -> None:
        """Ask a task to end, without waiting for it."""
        stopping = asyncio.create_task(task.stop(USER, reason))
        self._ends.add(stopping)
        stopping.add_done_callback(self._ends.discard)

    async def _await_end(self, task: Task) -> None:
        await task.wait()
        del self._running[task.id]
        self._addresses.release(task.zone, task.id)
        self._stopped.append(task)
        while len(self._stopped) > STOPPED_MAX:
            self._stopped.popleft().forget()
        codes = ", ".join(f"{name} {code}" for name, code in task.exit_codes.items())
        self._say(task, "task.stopped", f"has ended ({task.stop_reason}): exit codes {codes}")

    def _say(self, task: Task, kind: str, text: str) -> None:
        text = f"{task.spec.family} {text}"
        self._timeline.tell(self._region, self.name, kind, text, task=task.id, zone=task.zone)

"""One task: its containers as processes at an address of its own, from start to stop.

It is separate from the service because a migration is a task without one. A task never raises: how
it ended is in its stop code and reason, in ECS's words.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.errors import TwinError
from evertill.twin.parts.checks import Checks
from evertill.twin.parts.container import HEALTHY, UNHEALTHY, UNKNOWN, Container
from evertill.twin.parts.dynamic_references import resolved
from evertill.twin.parts.programs import Programs
from evertill.twin.parts.room import Room
from evertill.twin.plan.tasks import TaskSpec
from evertill.twin.processes import Processes

PENDING: Final = "PENDING"
RUNNING: Final = "RUNNING"
DEACTIVATING: Final = "DEACTIVATING"
STOPPING: Final = "STOPPING"
STOPPED: Final = "STOPPED"
# Why a task stopped, as the API tells it.
FAILED_TO_START: Final = "TaskFailedToStart"
EXITED: Final = "EssentialContainerExited"


class Surroundings(Protocol):
    """What a task finds around it; the composition root knows where it comes from."""

    def environment(self, region: str, role: str, task: str) -> Mapping[str, str]:
        """Return where a task's credentials and its region's AWS API are."""

    async def secret(self, region: str, value_from: str) -> str:
        """Return what a secret holds; raise a TwinError."""

    def file(self, supply: str) -> Path | None:
        """Return the file that stands for one of an image's, None when there is none."""


class LogReader(Protocol):
    """Follows what containers write, for metric filters."""

    def follow(self, group: str, path: Path) -> None:
        """Read a file from now on, as a stream of a log group."""

    def forget(self, path: Path) -> None:
        """Read a file to its end and no further."""


class TaskTools(msgspec.Struct, frozen=True):
    """What every task works with; `logs` is by region."""

    clock: Clock
    processes: Processes
    checks: Checks
    programs: Programs
    surroundings: Surroundings
    logs: Mapping[str, LogReader] = {}


class Task:
    """A task at an address in a zone. Its id is what the API calls it by."""

    def __init__(
        self,
        task_id: str,
        spec: TaskSpec,
        place: tuple[str, str],
        *,
        folder: Path,
        tools: TaskTools,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `spec` at `place`, a zone and an address in it, with its files in `folder`."""
        self.id: Final = task_id
        self.spec: Final = spec
        self.zone, self.address = place
        self.status: str = PENDING
        self.stop_code = ""
        self.stop_reason = ""
        self.created_s: Final = tools.clock.epoch_s()
        self.running_since_s: float | None = None
        self.stopped_s: float | None = None
        self._folder: Final = folder
        self._tools: Final = tools
        self._tell: Final = on_change
        self._changed: Final = asyncio.Event()
        self._asked_to_stop: Final = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self.containers: Final = {
            container.name: Container(
                container,
                f"{task_id}/{container.name}",
                tools.clock,
                tools.processes,
                tools.checks,
                on_change=self._note,
            )
            for container in spec.containers
        }

    @property
    def health(self) -> str:
        """Return HEALTHY, UNHEALTHY or UNKNOWN, of the containers that have a check."""
        checked = [c for c in self.containers.values() if c.spec.probe and c.spec.is_essential]
        found = {container.health for container in checked}
        if UNHEALTHY in found:
            return UNHEALTHY
        return HEALTHY if found == {HEALTHY} else UNKNOWN

    @property
    def has_checks(self) -> bool:
        """Tell whether a container of it has a health check of its own."""
        return any(container.spec.probe for container in self.containers.values())

    @property
    def exit_codes(self) -> dict[str, int | None]:
        """Return how each container ended, None for one that runs or never did."""
        return {name: container.exit_code for name, container in self.containers.items()}

    @property
    def is_frozen(self) -> bool:
        """Tell whether a fault has stopped it as it is."""
        return any(container.is_frozen for container in self.containers.values())

    def start(self) -> None:
        """Begin; what comes of it is in the status."""
        self._life = asyncio.create_task(self._live())

    async def stop(self, code: str, reason: str) -> None:
        """Ask every container to end and wait until all have, within their stop timeouts."""
        if not self.stop_code:
            self.stop_code, self.stop_reason = code, reason
        self._asked_to_stop.set()
        self._changed.set()
        await self.wait()

    async def wait(self) -> None:
        """Return when it has stopped."""
        if self._life is not None:
            await asyncio.shield(self._life)

    async def kill(self) -> None:
        """End all its processes at once: a fault, which nobody asked for."""
        await asyncio.gather(*(container.kill() for container in self.containers.values()))

    def freeze(self) -> None:
        """Stop all its processes as they are: a fault."""
        for container in self.containers.values():
            container.freeze()

    def thaw(self) -> None:
        """Let a frozen task go on."""
        for container in self.containers.values():
            container.thaw()

    def mark(self, status: str) -> None:
        """Take a status that its service gives: DEACTIVATING while its targets drain."""
        self.status = status
        self._tell()

    def usage(self) -> tuple[float, int]:
        """Return the processor seconds used so far and the memory in bytes."""
        used = [container.usage() for container in self.containers.values()]
        return sum(seconds for seconds, _ in used), sum(memory for _, memory in used)

    def as_dict(self) -> dict[str, Any]:
        """Return how it is, as JSON-able values."""
        return {
            "id": self.id,
            "definition": f"{self.spec.family}:{self.spec.revision}",
            "zone": self.zone,
            "address": self.address,
            "status": self.status,
            "health": self.health,
            "stop_code": self.stop_code,
            "reason": self.stop_reason,
            "exit_codes": self.exit_codes,
            "logs": str(self._folder),
        }

    def forget(self) -> None:
        """Delete its files; only after it has stopped."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _live(self) -> None:
        try:
            await self._start_containers()
            if not self._asked_to_stop.is_set() and not self.stop_code:
                self.running_since_s = self._tools.clock.epoch_s()
                self.mark(RUNNING)
                await self._until_over()
        except (TwinError, OSError) as error:
            self._give_up(FAILED_TO_START, str(error))
        finally:
            self.mark(STOPPING)
            await asyncio.gather(*(container.stop() for container in self.containers.values()))
            self._leave_logs()
            self.stopped_s = self._tools.clock.epoch_s()
            self.mark(STOPPED)

    async def _start_containers(self) -> None:
        waiting = list(self.containers.values())
        while waiting and not self._asked_to_stop.is_set():
            ready = [container for container in waiting if self._may_start(container)]
            for container in ready:
                await self._start(container)
                waiting.remove(container)
            if waiting and not ready:
                if self._has_ended():
                    return
                await self._next_change()

    async def _until_over(self) -> None:
        while not self._asked_to_stop.is_set() and not self._has_ended():
            await self._next_change()

    def _has_ended(self) -> bool:
        """Tell whether an essential container has ended, or all of them have."""
        for container in self.containers.values():
            if container.spec.is_essential and container.exit_code is not None:
                self._give_up(EXITED, "Essential container in task exited")
        if all(container.exit_code is not None for container in self.containers.values()):
            self._give_up(EXITED, "All containers in task exited")
        return bool(self.stop_code)

    def _give_up(self, code: str, reason: str) -> None:
        if not self.stop_code:
            self.stop_code, self.stop_reason = code, reason

    def _may_start(self, container: Container) -> bool:
        """Tell whether what it depends on is as far as it must be; raise when it never will be."""
        for name, condition in container.spec.depends_on.items():
            other = self.containers.get(name)
            if other is None:
                raise TwinError(f"{container.spec.name} waits for {name}, which is no container.")
            if condition == "SUCCESS" and other.exit_code:
                message = f"{name} exited with {other.exit_code}, and {container.spec.name} waits"
                raise TwinError(f"{message} for its success.")
            is_far = {
                "START": other.has_started,
                "COMPLETE": other.exit_code is not None,
                "SUCCESS": other.exit_code == 0,
                "HEALTHY": other.health == HEALTHY,
            }[condition]
            if not is_far:
                return False
        return True

    async def _start(self, container: Container) -> None:
        spec, image = container.spec, container.spec.image
        folder = self._folder / spec.name
        folder.mkdir(parents=True, exist_ok=True)
        room = Room(self.address, self._paths(container))
        surroundings = self._tools.surroundings
        secrets = {
            name: await surroundings.secret(self.spec.region, source)
            for name, source in spec.secrets.items()
        }
        told = {**image.environment, **spec.environment.get(self.zone, {})}
        environment = {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "AWS_REGION": self.spec.region,
            "AWS_DEFAULT_REGION": self.spec.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            **surroundings.environment(self.spec.region, self.spec.role, self.id),
            **{name: room.text(await self._resolved(text)) for name, text in told.items()},
            **secrets,
            **self._tools.programs.environment(image, self.address),
            "PATH": str(self._tools.programs.folder(image)),
        }
        log = self._folder / f"{spec.name}.log"
        reader = self._tools.logs.get(self.spec.region)
        if reader is not None and spec.log_group:
            reader.follow(spec.log_group, log)
        probe = spec.probe.command if spec.probe else ()
        await container.start(
            [room.text(word) for word in spec.arguments],
            [room.check(word) for word in probe],
            environment,
            folder,
            log,
        )

    def _leave_logs(self) -> None:
        reader = self._tools.logs.get(self.spec.region)
        if reader is not None:
            for container in self.spec.containers:
                reader.forget(self._folder / f"{container.name}.log")

    async def _resolved(self, text: str) -> str:
        """Return a variable with the secrets in it that CloudFormation would have put there."""
        read = partial(self._tools.surroundings.secret, self.spec.region)
        return await resolved(text, read)

    def _paths(self, container: Container) -> dict[str, Path]:
        """Return the real path of each path in the container that is not this machine's own."""
        image = container.spec.image
        paths: dict[str, Path] = {}
        for path, supply in image.files.items():
            found = self._tools.surroundings.file(supply)
            if found is not None:
                paths[path] = found
        for path, volume in container.spec.mounts.items():
            paths[path] = self._folder / "volumes" / volume
            paths[path].mkdir(parents=True, exist_ok=True)
        if image.directory != "/" and image.directory not in paths:
            paths[image.directory] = self._folder / container.spec.name
        return paths

    def _note(self) -> None:
        self._changed.set()
        self._tell()

    async def _next_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

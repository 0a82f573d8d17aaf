"""One container: its process, its exit, and its own health check.

It is separate from the task because a task waits for several, each with conditions of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from evertill.twin.clock import Clock
from evertill.twin.parts.checks import Checks
from evertill.twin.plan.tasks import ContainerSpec, Probe
from evertill.twin.processes import Owned, Processes

HEALTHY: Final = "HEALTHY"
UNHEALTHY: Final = "UNHEALTHY"
UNKNOWN: Final = "UNKNOWN"
# The status of a shell whose program was ended by a signal, as Docker tells it too.
SIGNALLED: Final = 128


class Container:
    """A container of a task. It tells nobody why it ends; it only notes how."""

    def __init__(
        self,
        spec: ContainerSpec,
        name: str,
        clock: Clock,
        processes: Processes,
        checks: Checks,
        *,
        on_change: Callable[[], None],
    ) -> None:
        """Call `on_change` whenever it starts, ends, or its health changes."""
        self.spec: Final = spec
        self.exit_code: int | None = None
        self.health: str = UNKNOWN
        self.reason = ""
        self.is_frozen = False
        self._name: Final = name
        self._clock: Final = clock
        self._processes: Final = processes
        self._checks: Final = checks
        self._on_change: Final = on_change
        self._process: Owned | None = None
        self._watch: list[asyncio.Task[None]] = []

    @property
    def has_started(self) -> bool:
        """Tell whether its process was started, though it may have ended since."""
        return self._process is not None

    @property
    def is_running(self) -> bool:
        """Tell whether its process runs; one that is frozen does."""
        return self._process is not None and self.exit_code is None

    async def start(
        self,
        command: Sequence[str],
        check: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
    ) -> None:
        """Start the process in `folder`; `check` is its health check's command.

        Raises PartFailed.
        """
        self._process = await self._processes.start(
            self._name, command, environment=environment, log=log, directory=folder
        )
        self._watch.append(asyncio.create_task(self._await_end(self._process)))
        if self.spec.probe is not None:
            probing = self._probe(self.spec.probe, check, environment, folder)
            self._watch.append(asyncio.create_task(probing))
        self._on_change()

    async def stop(self) -> None:
        """Ask it to end, and end it when its stop timeout has passed."""
        if self._process is not None and self.is_running:
            tree = self._process.tree()
            await self._process.stop(self.spec.stop_timeout_s)
            _end(tree)
        for task in self._watch[1:]:
            task.cancel()
        await asyncio.gather(*self._watch, return_exceptions=True)

    async def kill(self) -> None:
        """End it at once, as a machine that is lost does."""
        if self._process is not None and self.is_running:
            await self._process.kill()

    def freeze(self) -> None:
        """Stop its whole process tree as it is."""
        self.is_frozen = True
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen container go on."""
        self.is_frozen = False
        if self._process is not None:
            self._process.thaw()

    def usage(self) -> tuple[float, int]:
        """Return the processor seconds that its processes have used, and their memory in bytes."""
        seconds, memory_bytes = 0.0, 0
        for process in self._process.tree() if self._process and self.is_running else ():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                memory_bytes += process.memory_info().rss
        return seconds, memory_bytes

    async def _await_end(self, process: Owned) -> None:
        status = await process.wait()
        # With the first process of a container all others end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.exit_code = status if status >= 0 else SIGNALLED - status
        for task in self._watch[1:]:
            task.cancel()
        self._on_change()

    async def _probe(
        self, probe: Probe, check: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        """Run the check again and again; failures during the start period do not count.

        What a check waits for is work, so its time-out and the start period do not shrink when the
        twin runs faster; the pauses between checks do.
        """
        began_s = asyncio.get_running_loop().time()
        failures = 0
        while True:
            await self._clock.sleep(probe.interval_s)
            passes = await self._checks.passes(
                f"{self._name} check",
                self.spec.image,
                check,
                environment,
                folder=folder,
                timeout_s=probe.timeout_s,
            )
            if passes:
                failures = 0
                self._set_health(HEALTHY)
            elif asyncio.get_running_loop().time() - began_s >= probe.start_period_s:
                failures += 1
                if failures >= probe.retries:
                    self._set_health(UNHEALTHY)

    def _set_health(self, health: str) -> None:
        if health != self.health:
            self.health = health
            self._on_change()


def _end(tree: Sequence[psutil.Process]) -> None:
    """End what is left of a tree whose root has ended."""
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()

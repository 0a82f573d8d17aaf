"""A function: its execution environments, their number, and who may invoke it.

An environment is started when an event finds none that is idle, up to the reserved concurrency, and
is used again for later ones; so a first call is a cold start here too. It runs in the zones of its
subnets in turn.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from evertill.twin.api.errors import ApiError
from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.part import Metrics
from evertill.twin.parts.overlay import lay_over, write_inline
from evertill.twin.parts.runtime import Environment, Result
from evertill.twin.plan.functions import FunctionSpec
from evertill.twin.processes import Processes, inherited

# Of an account that reserves nothing, as far as this machine can.
CONCURRENCY_MAX: Final = 10
# AWS keeps an idle environment for minutes; nobody is told how many.
IDLE_TIMEOUT_S: Final = 300
REAP_INTERVAL_S: Final = 30
PAYLOAD_SIZE_MAX_BYTES: Final = 6 * 1024 * 1024
NAMESPACE: Final = "AWS/Lambda"
FORBIDDEN: Final = 403
TOO_MANY: Final = 429
TOO_LARGE: Final = 413
FILE_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]")

# The variables with which processes of a role find the AWS API and their credentials.
Variables = Callable[[str], Mapping[str, str]]


class Function:
    """One function of the templates."""

    def __init__(
        self,
        spec: FunctionSpec,
        folder: Path,
        *,
        clock: Clock,
        processes: Processes,
        metrics: Metrics,
        timeline: Timeline,
        variables: Variables,
    ) -> None:
        """Prepare; `variables` tells a role's: the region's endpoint, where its keys are."""
        self._spec: Final = spec
        self._folder: Final = folder / FILE_NAME.sub("_", spec.name)
        self._clock: Final = clock
        self._processes: Final = processes
        self._metrics: Final = metrics
        self._timeline: Final = timeline
        self._variables: Final = variables
        self._idle: Final[list[Environment]] = []
        self._busy: Final[list[Environment]] = []
        self._left_out: tuple[str, ...] = ()
        self._started = 0
        self._counts: Final = {"invocations": 0, "errors": 0, "throttles": 0}
        self._reaping: asyncio.Task[None] | None = None
        self._zones_lost: frozenset[str] = frozenset()
        # A fault is in force: whatever is started hangs, too.
        self.is_frozen = False

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._spec.region}/function/{self._spec.name}"

    @property
    def spec(self) -> FunctionSpec:
        """Return what it is made of."""
        return self._spec

    async def start(self) -> None:
        """Lay out the code; processes start with the first event."""
        try:
            self._left_out = await asyncio.to_thread(self._lay_out)
        except OSError as error:
            raise PartFailed(f"{self.name} did not start: {error}") from error
        if self._left_out:
            names = ", ".join(self._left_out)
            text = f"{self._spec.name} takes what is compiled for AWS from this machine: {names}."
            self._timeline.tell(self._spec.region, self.name, "function.substituted", text)
        self._reaping = asyncio.create_task(self._reap_for_ever())

    async def stop(self) -> None:
        """End every environment."""
        reaping, self._reaping = self._reaping, None
        if reaping is not None:
            reaping.cancel()
        environments = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(item.stop() for item in environments), return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return how many environments there are, and what was asked of them."""
        return {
            **self._counts,
            "busy": len(self._busy),
            "idle": len(self._idle),
            "concurrency_max": self._concurrency_max,
            "zones": sorted({item.zone for item in (*self._idle, *self._busy)}),
            "substituted": list(self._left_out),
        }

    @property
    def state(self) -> str:
        """Return lost, frozen, busy, idle, or cold while no process of it runs."""
        if all(zone in self._zones_lost for zone in self._spec.environments):
            return "lost"
        if self.is_frozen:
            return "frozen"
        return "busy" if self._busy else "idle" if self._idle else "cold"

    def environments(self) -> list[Environment]:
        """Return the environments, for faults."""
        return [*self._idle, *self._busy]

    def freeze(self) -> None:
        """Let every environment hang, those that are started from now on too: a fault."""
        self.is_frozen = True
        for environment in self.environments():
            if environment.process is not None:
                environment.process.freeze()

    def thaw(self) -> None:
        """Undo `freeze`."""
        self.is_frozen = False
        for environment in self.environments():
            if environment.process is not None:
                environment.process.thaw()

    async def kill(self, zones: frozenset[str] | None = None) -> None:
        """Kill the processes that run now, in some zones or in all: a fault."""
        for environment in self.environments():
            process = environment.process
            if process is not None and (zones is None or environment.zone in zones):
                await process.kill()

    def lose_zones(self, zones: frozenset[str]) -> None:
        """Start no environments in these zones, which are lost, until told otherwise."""
        self._zones_lost = zones

    def may_be_invoked_by(self, principal: str, source_arn: str) -> bool:
        """Tell whether a service may invoke it, by the permissions of the templates."""
        return any(
            permission.principal in {principal, "*"}
            and (not permission.source_arn or fnmatchcase(source_arn, permission.source_arn))
            for permission in self._spec.permissions
        )

    async def invoke_for(self, principal: str, source_arn: str, payload: bytes) -> Result:
        """Invoke it as a service does, such as a load balancer for one of its target groups."""
        if not self.may_be_invoked_by(principal, source_arn):
            message = f"{principal} may not invoke {self._spec.name}: no permission allows it."
            raise ApiError("AccessDeniedException", message, FORBIDDEN)
        return await self.invoke(payload)

    async def invoke(self, payload: bytes) -> Result:
        """Invoke it and wait; raise ApiError when there is no environment to be had."""
        if len(payload) > PAYLOAD_SIZE_MAX_BYTES:
            message = f"The payload is larger than {PAYLOAD_SIZE_MAX_BYTES} bytes."
            raise ApiError("RequestTooLargeException", message, TOO_LARGE)
        environment = await self._taken()
        try:
            result = await environment.invoke(payload)
        finally:
            self._busy.remove(environment)
            if environment.is_usable and self._reaping is not None:
                self._idle.append(environment)
            else:
                await environment.stop()
        self._count(result)
        return result

    def _lay_out(self) -> tuple[str, ...]:
        if self._spec.asset is not None:
            return lay_over(self._spec.asset, self._code)
        write_inline(self._spec.inline, self._code)
        return ()

    @property
    def _code(self) -> Path:
        return self._folder / "code"

    @property
    def _concurrency_max(self) -> int:
        reserved = self._spec.concurrency_max
        return CONCURRENCY_MAX if reserved is None else reserved

    async def _taken(self) -> Environment:
        """Return an environment that is busy from now on."""
        while self._idle:
            environment = self._idle.pop()
            if environment.is_usable and environment.zone not in self._zones_lost:
                self._busy.append(environment)
                return environment
            await environment.stop()
        zones = [zone for zone in self._spec.environments if zone not in self._zones_lost]
        if len(self._busy) >= self._concurrency_max or not zones:
            self._counts["throttles"] += 1
            self._put("Throttles", 1, "Count")
            raise ApiError("TooManyRequestsException", "Rate Exceeded.", TOO_MANY)
        zone = zones[self._started % len(zones)]
        self._started += 1
        own = self._folder / f"environment-{self._started % (2 * self._concurrency_max)}"
        environment = Environment(self._spec, zone, own, self._code, self._processes)
        self._busy.append(environment)
        try:
            await environment.start(self._environment(zone))
        except BaseException:
            self._busy.remove(environment)
            raise
        if self.is_frozen and environment.process is not None:
            environment.process.freeze()
        return environment

    def _environment(self, zone: str) -> dict[str, str]:
        spec = self._spec
        return {
            **inherited(),
            **self._variables(spec.role),
            **spec.environments[zone],
            "AWS_REGION": spec.region,
            "AWS_DEFAULT_REGION": spec.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{self._started}",
            "_HANDLER": spec.handler,
            "TZ": ":UTC",
        }

    def _count(self, result: Result) -> None:
        self._counts["invocations"] += 1
        self._counts["errors"] += bool(result.error)
        self._put("Invocations", 1, "Count")
        self._put("Errors", float(bool(result.error)), "Count")
        self._put("Duration", result.duration_ms, "Milliseconds")
        self._put("Throttles", 0, "Count")
        self._put("ConcurrentExecutions", len(self._busy) + 1, "Count")

    def _put(self, metric: str, value: float, unit: str) -> None:
        name = self._spec.name
        self._metrics.put(self._spec.region, NAMESPACE, metric, value, unit, FunctionName=name)

    async def _reap_for_ever(self) -> None:
        while True:
            await self._clock.sleep(REAP_INTERVAL_S)
            bound_s = time.monotonic() - self._clock.real_s(IDLE_TIMEOUT_S)
            for environment in [item for item in self._idle if item.used_s < bound_s]:
                self._idle.remove(environment)
                await environment.stop()

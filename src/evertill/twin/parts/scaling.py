"""The scaling of one service: its bounds, and the policies that move its count between them.

It is separate from `tracking`, which is the rule, because it keeps what the rule does not know:
cooldowns, suspensions, and what was done before.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.deployment import IN_PROGRESS
from evertill.twin.parts.service import Service
from evertill.twin.plan.scaling import PolicySpec, ScalingSpec
from evertill.twin.tracking import IN_MINUTES, Tracked, wanted_count

MINUTE_S: Final = 60.0
ACTIVITIES_MAX: Final = 200

# The last values of a policy's metric by minutes, before a moment of twin time since 1970.
Readings = Callable[[str, PolicySpec, float, int], list[float | None]]


def readings_of(store: MetricStore) -> Readings:
    """Return the values of policies' metrics as a store holds them."""

    def read(region: str, policy: PolicySpec, end_s: float, minutes: int) -> list[float | None]:
        dimensions = tuple(sorted(policy.dimensions.items()))
        metric = MetricId(region, policy.namespace, policy.metric, dimensions)
        return store.values(metric, policy.statistic, int(MINUTE_S), end_s, minutes)

    return read


class Activity(msgspec.Struct, frozen=True):
    """One change of the count, for the API."""

    id: str
    at_s: float
    count: int
    cause: str


class Suspended(msgspec.Struct, frozen=True):
    """What an operator has switched off."""

    scaling_in: bool = False
    scaling_out: bool = False


class Scaling:
    """Scales a service, which is a Part."""

    def __init__(
        self,
        spec: ScalingSpec,
        service: Service,
        readings: Readings,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        """Hold `service` within the bounds of `spec` and let it follow `readings`."""
        self.spec: Final = spec
        self.service: Final = service
        self.bounds = (spec.count_min, spec.count_max)
        self.suspended = Suspended()
        self.activities: deque[Activity] = deque(maxlen=ACTIVITIES_MAX)
        self.created_s: Final = clock.epoch_s()
        self._readings: Final = readings
        self._clock: Final = clock
        self._timeline: Final = timeline
        self._last_out_s = -math.inf
        self._last_in_s = -math.inf
        self._loop: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return its name as a part."""
        return f"{self.spec.service.region}/scaling/{self.spec.service.name}"

    async def start(self) -> None:
        """Bring the count within its bounds, and look at the metrics every minute."""
        self._hold()
        self._loop = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Leave the count alone."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop

    def status(self) -> dict[str, Any]:
        """Return the bounds and what is suspended."""
        return {
            "count_min": self.bounds[0],
            "count_max": self.bounds[1],
            "suspended": msgspec.to_builtins(self.suspended),
            "policies": [policy.name for policy in self.spec.policies],
        }

    def set_bounds(self, count_min: int, count_max: int) -> None:
        """Change the bounds; a count outside of them moves at once."""
        self.bounds = (count_min, count_max)
        self._tell("scaling.bounds", f"may have {count_min} to {count_max} tasks")
        self._hold()

    def evaluate(self) -> None:
        """Look at the metrics once, and change the count when they ask for it."""
        at_s = self._clock.epoch_s() // MINUTE_S * MINUTE_S
        tracked = [
            Tracked(
                self._readings(self.service.spec.region, policy, at_s, IN_MINUTES),
                policy.target,
                policy.scales_in,
            )
            for policy in self.spec.policies
        ]
        count = self.service.count
        wanted = wanted_count(count, tracked, self.bounds)
        now_s = self._clock.now_s()
        if wanted > count and self._may_go_out(now_s):
            self._last_out_s = now_s
            self._set(wanted, "a policy's metric is above its target")
        elif wanted < count and self._may_go_in(now_s):
            self._last_in_s = now_s
            self._set(wanted, "the policies' metrics are below their targets")

    async def _follow(self) -> None:
        while True:
            await self._clock.sleep(MINUTE_S - self._clock.epoch_s() % MINUTE_S + 1)
            self.evaluate()

    def _may_go_out(self, now_s: float) -> bool:
        cooldown_s = max((policy.out_cooldown_s for policy in self.spec.policies), default=0.0)
        return not self.suspended.scaling_out and now_s - self._last_out_s >= cooldown_s

    def _may_go_in(self, now_s: float) -> bool:
        """Tell whether tasks may be taken away; never while a release is on its way.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
        """
        if self.suspended.scaling_in or self.service.primary.state == IN_PROGRESS:
            return False
        cooldown_s = max((policy.in_cooldown_s for policy in self.spec.policies), default=0.0)
        return now_s - max(self._last_in_s, self._last_out_s) >= cooldown_s

    def _hold(self) -> None:
        lower, upper = self.bounds
        held = min(upper, max(lower, self.service.count))
        if held != self.service.count:
            self._set(held, "the count was outside of its bounds")

    def _set(self, count: int, cause: str) -> None:
        self.activities.append(Activity(str(uuid4()), self._clock.epoch_s(), count, cause))
        self._tell("scaling.count", f"scales to {count} tasks: {cause}", count=count)
        self.service.set_count(count)

    def _tell(self, kind: str, text: str, **fields: int) -> None:
        spec = self.spec.service
        self._timeline.tell(spec.region, self.name, kind, f"{spec.name} {text}", **fields)

"""A target group: which targets there are, and what the nodes that check them think of each.

It is separate from the load balancer because services register with the group and know no balancer,
and because a group may stand behind several. A node reads what it should serve from here and
reports what it finds; neither waits for the other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from evertill.assembly import Value
from evertill.twin.clock import Clock
from evertill.twin.errors import TwinError
from evertill.twin.events import Timeline
from evertill.twin.plan.balancer_specs import TargetGroupSpec

# AWS's own default quota of targets per group.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
TARGETS_MAX: Final = 1_000

State = Literal["initial", "healthy", "unhealthy", "draining", "unused"]
Key = tuple[str, int]


class TooManyTargets(TwinError):
    """The target group holds as many targets as AWS allows."""

    code = "too_many_targets"


class Health(msgspec.Struct, frozen=True):
    """How a target is, with AWS's reason code and sentence where it is not well.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-reason-codes
    """

    state: State
    reason: str = ""
    description: str = ""


REGISTERING: Final = Health(
    "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
)
CHECKING: Final = Health(
    "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
)
DRAINING: Final = Health(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
NOT_IN_USE: Final = Health(
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
NOT_REGISTERED: Final = Health(
    "unused", "Target.NotRegistered", "Target is not registered to the target group"
)
HEALTHY: Final = Health("healthy")


class Target(msgspec.Struct, kw_only=True):
    """One target. `groups` are its security groups; `views` is what each node thinks of it.

    `number` tells two registrations of the same address apart.
    """

    host: str
    port: int
    zone: str
    number: int
    groups: tuple[Value, ...] = ()
    is_draining: bool = False
    views: dict[str, Health] = {}

    @property
    def key(self) -> Key:
        """Return what it is registered under."""
        return self.host, self.port


class TargetGroup:
    """The targets of one group."""

    def __init__(self, spec: TargetGroupSpec, clock: Clock, timeline: Timeline) -> None:
        """Begin without a target."""
        self.spec: Final = spec
        self._clock = clock
        self._timeline = timeline
        self._targets: dict[Key, Target] = {}
        self._registrations = 0
        self._removals: dict[Key, asyncio.Task[None]] = {}
        self._nodes: dict[str, Callable[[], None]] = {}
        self._told: dict[Key, State] = {}
        # How many targets one of them stands for: more than one where tasks are capped.
        self.stands_for: Callable[[], float] = lambda: 1.0

    def attach(self, node: str, wake: Callable[[], None]) -> None:
        """Let `node` serve this group: `wake` is called when the targets change."""
        self._nodes[node] = wake

    def detach(self, node: str) -> None:
        """Forget `node` and what it thought; it serves no longer."""
        self._nodes.pop(node, None)
        for target in self._targets.values():
            target.views.pop(node, None)
            self._tell(target)

    def register(self, host: str, port: int, zone: str, groups: Sequence[Value] = ()) -> None:
        """Take in a target; one that drains is taken in anew. Raise TooManyTargets."""
        if len(self._targets) >= TARGETS_MAX:
            raise TooManyTargets
        removal = self._removals.pop((host, port), None)
        if removal is not None:
            removal.cancel()
        self._registrations += 1
        self._targets[host, port] = Target(
            host=host, port=port, zone=zone, groups=tuple(groups), number=self._registrations
        )
        self._told[host, port] = "initial"
        self._say((host, port), "target.registered", f"{host}:{port} in {zone} is registered")
        self._wake()

    async def deregister(self, host: str, port: int) -> None:
        """Send a target no new requests, and return when it is out of use.

        It drains for the whole delay, with or without requests in flight:
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
        """
        removal = self.begin_deregistration(host, port)
        if removal is not None:
            await asyncio.shield(removal)

    def begin_deregistration(self, host: str, port: int) -> asyncio.Task[None] | None:
        """Send a target no new requests; return what ends when it is out of use."""
        target = self._targets.get((host, port))
        if target is None:
            return None
        if not target.is_draining:
            target.is_draining = True
            self._tell(target)
            self._wake()
            self._removals[target.key] = asyncio.create_task(self._remove_later(target))
        return self._removals[target.key]

    def targets(self) -> tuple[Target, ...]:
        """Return the targets, those that drain included."""
        return tuple(self._targets.values())

    def report(self, node: str, views: Mapping[Key, Health]) -> None:
        """Note what `node` thinks of the targets that it serves."""
        for key, health in views.items():
            target = self._targets.get(key)
            if target is not None and target.views.get(node) != health:
                target.views[node] = health
                self._tell(target)

    def health(self, host: str, port: int) -> Health:
        """Return how a target is.

        Each node checks and routes by what it finds itself. Of the whole it is said here what most
        of them find; how AWS sums them up is not documented.
        """
        target = self._targets.get((host, port))
        return NOT_REGISTERED if target is None else self._sum(target)

    def count(self, state: State) -> int:
        """Return how many targets are in `state`."""
        return sum(self._sum(target).state == state for target in self._targets.values())

    def status(self) -> dict[str, Any]:
        """Return how the group and its targets are."""
        return {
            "name": self.spec.name,
            "targets": [
                {"host": t.host, "port": t.port, "zone": t.zone, "state": self._sum(t).state}
                for t in self._targets.values()
            ],
        }

    async def close(self) -> None:
        """Stop waiting for what drains."""
        for removal in self._removals.values():
            removal.cancel()
        await asyncio.gather(*self._removals.values(), return_exceptions=True)
        self._removals.clear()

    def _sum(self, target: Target) -> Health:
        if target.is_draining:
            return DRAINING
        if not self._nodes:
            return NOT_IN_USE
        if not target.views:
            return REGISTERING
        views = Counter(target.views.values())
        healthy = sum(count for view, count in views.items() if view.state == "healthy")
        # Without crossing, only the node of a target's own zone has a view of it.
        voters = len(self._nodes) if self.spec.crosses_zones else len(target.views)
        if healthy * 2 > voters:
            return HEALTHY
        return _most(view for view in target.views.values() if view.state != "healthy")

    async def _remove_later(self, target: Target) -> None:
        await self._clock.sleep(self.spec.deregistration_delay_s)
        self._targets.pop(target.key, None)
        self._removals.pop(target.key, None)
        self._told.pop(target.key, None)
        self._say(target.key, "target.unused", f"{target.host}:{target.port} is out of use")
        self._wake()

    def _wake(self) -> None:
        for wake in self._nodes.values():
            wake()

    def _tell(self, target: Target) -> None:
        health = self._sum(target)
        if self._told.get(target.key) == health.state or target.key not in self._targets:
            return
        self._told[target.key] = health.state
        text = f"{target.host}:{target.port} in {target.zone} is {health.state}"
        text += f": {health.description}" if health.description else ""
        self._say(target.key, f"target.{health.state}", text)

    def _say(self, key: Key, kind: str, text: str) -> None:
        part = f"{self.spec.region}/target-group/{self.spec.name}"
        self._timeline.tell(self.spec.region, part, kind, text, target=f"{key[0]}:{key[1]}")


def _most(views: Iterable[Health]) -> Health:
    """Return the view that most nodes share; among equals one that is unhealthy."""
    counted = Counter(views)
    return max(counted, key=lambda view: (counted[view], view.state == "unhealthy"))

"""An ECS service: its count of tasks, kept up and spread over the zones, release by release.

It is separate from its crew, which handles single tasks, and from `scheduling`, which is the rule:
this module asks the rule again whenever something changed, and keeps the account of deployments.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from evertill.twin.addresses import Addresses
from evertill.twin.events import Event, Timeline
from evertill.twin.parts.crew import STOPPED_BY_SERVICE, Crew, Hand, TargetGroup
from evertill.twin.parts.deployment import COMPLETED, FAILED, IN_PROGRESS, Deployment
from evertill.twin.parts.task import RUNNING, Task, TaskTools
from evertill.twin.plan.services import ServiceSpec
from evertill.twin.plan.tasks import TaskSpec
from evertill.twin.scheduling import Demand, decide

log = logging.getLogger(__name__)

# Target health changes without telling anybody, so it is looked at this often.
LOOK_INTERVAL_S: Final = 0.5
DEPLOYMENTS_MAX: Final = 20
# As many as DescribeServices tells.
EVENTS_MAX: Final = 100
BREAKER_REASON: Final = "ECS deployment circuit breaker: tasks failed to start."
ALARM_REASON: Final = "ECS deployment failed: an alarm was in ALARM."


class Service:
    """A running service, which is a Part."""

    def __init__(
        self,
        spec: ServiceSpec,
        tools: TaskTools,
        folder: Path,
        *,
        addresses: Addresses,
        target_groups: Mapping[str, TargetGroup],
        rings: Callable[[str], bool],
        timeline: Timeline,
    ) -> None:
        """Run `spec`; `rings` tells whether an alarm of the region is in ALARM, by its name."""
        self.spec: Final = spec
        self.count = spec.count
        self.deployments: list[Deployment] = []
        self.events: Final[deque[Event]] = deque(maxlen=EVENTS_MAX)
        self._rings: Final = rings
        self._tools: Final = tools
        self._timeline: Final = timeline
        self._wake: Final = asyncio.Event()
        self._zones_lost: set[str] = set()
        self._completed: Deployment | None = None
        self._loop: asyncio.Task[None] | None = None
        self._is_steady = False
        # Nobody looks after it while its region hangs: a fault.
        self.is_held = False
        self.crew: Final = Crew(
            spec,
            tools,
            folder,
            addresses=addresses,
            target_groups=target_groups,
            say=self._say,
            on_change=self._wake.set,
        )

    @property
    def name(self) -> str:
        """Return its name as a part."""
        return f"{self.spec.region}/service/{self.spec.name}"

    @property
    def primary(self) -> Deployment:
        """Return the deployment that the service moves to, or has arrived at."""
        return self.deployments[-1]

    @property
    def is_steady(self) -> bool:
        """Tell whether as many tasks as wanted are healthy and nothing is on its way."""
        return self._is_steady

    @property
    def stands_for(self) -> float:
        """Return how many tasks a started one stands for: more than one where they are capped."""
        started = self.spec.capped(self.count)
        return self.count / started if started else 1.0

    @property
    def running(self) -> list[Task]:
        """Return the tasks that run, those that leave included."""
        return [hand.task for hand in self.crew if hand.task.status == RUNNING]

    async def start(self) -> None:
        """Begin to start tasks, without waiting for them."""
        self.crew.sweep()
        self._begin(self.spec.task, "ECS deployment in progress.")
        self._loop = asyncio.create_task(self._keep())
        self._loop.add_done_callback(self._tell_broken)

    async def stop(self) -> None:
        """End every task."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        await self.crew.stop()

    def status(self) -> dict[str, Any]:
        """Return how it is."""
        members = self.crew.members(self.primary.id) if self.deployments else []
        return {
            "count": self.count,
            "started_max": self.spec.count_max,
            "running": len(self.running),
            "healthy": sum(member.is_healthy for member in members),
            "zones": dict(Counter(hand.task.zone for hand in self.crew if not hand.is_leaving)),
            "zones_lost": sorted(self._zones_lost),
            "is_steady": self._is_steady,
            "deployment": self.primary.state if self.deployments else None,
            "tasks": [hand.task.as_dict() for hand in self.crew],
        }

    def set_count(self, count: int) -> None:
        """Want `count` tasks from now on."""
        if count != self.count:
            self._say("service.count", f"wants {count} tasks, no longer {self.count}", count=count)
            self.count = count
            self._wake.set()

    def deploy(self, definition: TaskSpec, reason: str = "ECS deployment in progress.") -> None:
        """Replace the tasks by those of another definition, or of the same one anew."""
        self._begin(definition, reason)

    def stop_task(self, task_id: str, reason: str) -> bool:
        """Stop one task, as a user would; the service starts another. False: there is none."""
        hand = self.crew.get(task_id)
        if hand is None:
            return False
        hand.was_good = True  # Nobody may hold against a release what a user did.
        self.crew.retire(hand, "UserInitiated", reason)
        self._wake.set()
        return True

    async def lose_zone(self, zone: str) -> None:
        """Kill the tasks of a zone, and start none there until it is restored."""
        self._zones_lost.add(zone)
        await asyncio.gather(*(hand.task.kill() for hand in self.crew if hand.task.zone == zone))
        self._wake.set()

    def restore_zone(self, zone: str) -> None:
        """Start tasks in a zone again."""
        self._zones_lost.discard(zone)
        self._wake.set()

    async def _keep(self) -> None:
        while True:
            if not self.is_held:
                self._look()
            # `wait_for` would swallow a cancellation that meets a wake-up (python/cpython#86296).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wake.wait()
            self._wake.clear()

    def _look(self) -> None:
        """Take note of what changed, and do what follows from it."""
        now_s = self._tools.clock.epoch_s()
        for hand in self.crew.notice():
            if not hand.was_good:
                self._count_failure(hand)
        self._judge_tasks()
        self._judge_deployment(now_s)
        moves = decide(self.crew.members(self.primary.id), self._demand(now_s))
        for zone in moves.start:
            self.crew.start(self.primary.spec, zone, self.primary.id)
        for task_id in moves.stop:
            self._stop_member(task_id)
        if moves.start or moves.stop:
            self._wake.set()
        self._tell_steady()

    def _demand(self, now_s: float) -> Demand:
        rollout = self.spec.rollout
        return Demand(
            count=self.spec.capped(self.count),
            zones=(
                tuple(zone for zone in self.spec.zones if zone not in self._zones_lost)
                if self.primary.may_start(now_s)
                else ()
            ),
            minimum_percent=rollout.minimum_percent,
            maximum_percent=rollout.maximum_percent,
            is_rebalanced=self.spec.is_rebalanced,
            is_halted=self.primary.state == FAILED,
        )

    def _stop_member(self, task_id: str) -> None:
        hand = self.crew.get(task_id)
        if hand is None:
            return
        reason = "it is not needed"
        if hand.deployment != self.primary.id:
            reason = "a new deployment replaces it"
        elif self.crew.is_unhealthy(hand):
            reason = "its health checks fail"
            if not hand.was_good:
                self._count_failure(hand)
        self.crew.retire(hand, STOPPED_BY_SERVICE, reason)

    def _count_failure(self, hand: Hand) -> None:
        if hand.deployment == self.primary.id:
            has_run = hand.task.running_since_s is not None
            self.primary.failed_task(self._tools.clock.epoch_s(), has_run=has_run)

    def _judge_tasks(self) -> None:
        for hand in self.crew:
            if not hand.was_good and self.crew.is_healthy(hand):
                hand.was_good = True
                text = f"has a healthy task in {hand.task.zone}"
                self._say("task.healthy", text, task=hand.task.id, zone=hand.task.zone)
                if hand.deployment == self.primary.id:
                    self.primary.good_task()

    def _judge_deployment(self, now_s: float) -> None:
        """Complete the deployment, or find that it failed and go back."""
        deployment, rollout = self.primary, self.spec.rollout
        if deployment.state != IN_PROGRESS:
            return
        if rollout.has_breaker and deployment.is_broken(self.spec.capped(self.count)):
            self._fail(BREAKER_REASON, goes_back=rollout.rolls_back)
        elif deployment.watches_alarms and any(map(self._rings, rollout.alarms)):
            self._fail(ALARM_REASON, goes_back=rollout.alarms_roll_back)
        elif not self._has_arrived():
            deployment.done_since_s = None
        else:
            if deployment.done_since_s is None:
                deployment.done_since_s = now_s
            bake_s = rollout.bake_s if deployment.watches_alarms else 0.0
            if now_s - deployment.done_since_s >= bake_s:
                deployment.finish(COMPLETED, "ECS deployment completed.", now_s)
                self._completed = deployment
                self._say("deployment.completed", f"runs {_named(deployment.spec)}")

    def _has_arrived(self) -> bool:
        members = self.crew.members(self.primary.id)
        healthy = sum(member.is_primary and member.is_healthy for member in members)
        return healthy == len(members) == self.spec.capped(self.count)

    def _fail(self, reason: str, *, goes_back: bool) -> None:
        failed = self.primary
        failed.finish(FAILED, reason, self._tools.clock.epoch_s())
        self._say("deployment.failed", f"cannot run {_named(failed.spec)}: {reason}")
        back = self._completed
        if goes_back and back is not None and back is not failed:
            # It is the same deployment again, with the tasks that it still has, and none to go
            # back to until it is complete once more.
            self._completed = None
            self.deployments.remove(back)
            self.deployments.append(back)
            back.resume(f"{reason[:-1]}; rolling back.", self._tools.clock.epoch_s())
            self._say("deployment.rollback", f"goes back to {_named(back.spec)}")

    def _begin(self, definition: TaskSpec, reason: str) -> None:
        now_s = self._tools.clock.epoch_s()
        deployment = Deployment(f"ecs-svc/{uuid4().int % 10**19}", definition, now_s, reason)
        # The alarms of a first deployment may not exist yet, and one that rings already when a
        # deployment starts says nothing about it:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
        alarms = self.spec.rollout.alarms
        deployment.watches_alarms = (
            self._completed is not None and bool(alarms) and not any(map(self._rings, alarms))
        )
        self.deployments.append(deployment)
        del self.deployments[:-DEPLOYMENTS_MAX]
        self._say("deployment.started", f"moves to {_named(definition)}")
        self._wake.set()

    def _tell_broken(self, loop: asyncio.Task[None]) -> None:
        """Say that nobody keeps the service any more, which is a mistake of ours."""
        if not loop.cancelled() and loop.exception() is not None:
            log.error("%s broke", self.name, exc_info=loop.exception())
            self._say("part.broken", "is not kept up any more; the log says why")

    def _tell_steady(self) -> None:
        is_steady = self.primary.state != FAILED and self._has_arrived()
        if is_steady != self._is_steady:
            self._is_steady = is_steady
            if is_steady:
                self._say("service.steady", "has reached a steady state")

    def _say(self, kind: str, text: str, **fields: str | int) -> None:
        text = f"{self.spec.name} {text}"
        event = self._timeline.tell(self.spec.region, self.name, kind, text, **fields)
        self.events.append(event)


def _named(spec: TaskSpec) -> str:
    return f"{spec.family}:{spec.revision}"

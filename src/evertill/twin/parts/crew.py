"""The tasks of one service: starting, registering, draining, stopping, remembering.

It is separate from the service, which decides: this module does what was decided, and knows how
each task is, from its own checks and from the load balancer's.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from evertill.assembly import Value
from evertill.twin.addresses import Addresses, local_port
from evertill.twin.errors import AddressesTaken
from evertill.twin.parts.container import HEALTHY, UNHEALTHY
from evertill.twin.parts.task import DEACTIVATING, RUNNING, STOPPED, Task, TaskTools
from evertill.twin.plan.services import ServiceSpec
from evertill.twin.plan.tasks import TaskSpec
from evertill.twin.scheduling import Member

# ECS tells of a stopped task for about an hour; here it is the last ones, with their logs.
STOPPED_MAX: Final = 50
STOPPED_BY_SERVICE: Final = "ServiceSchedulerInitiated"


class Say(Protocol):
    """Tells what happened to a service, by a stable word and in a sentence about it."""

    def __call__(self, kind: str, text: str, **fields: str | int) -> None:
        """Tell it."""


class TargetHealth(Protocol):
    """How a load balancer finds a target: its `state` is one of ELB's words."""

    @property
    def state(self) -> str:
        """Return initial, healthy, unhealthy, draining or unused."""


class TargetGroup(Protocol):
    """Where a service registers its tasks."""

    def register(self, host: str, port: int, zone: str, groups: Sequence[Value] = ()) -> None:
        """Take in a target."""

    async def deregister(self, host: str, port: int) -> None:
        """Send it nothing new, and return when it is out of use."""

    def health(self, host: str, port: int) -> TargetHealth:
        """Return how it is."""


class Hand:
    """A task of the crew, and what its service knows of it."""

    def __init__(self, task: Task, deployment: str) -> None:
        """Begin with a task that was just started for a deployment."""
        self.task: Final = task
        self.deployment: Final = deployment
        self.is_registered = False
        self.is_leaving = False
        self.was_good = False
        self.running_since_s: float | None = None


class Crew:
    """All tasks of a service."""

    def __init__(
        self,
        spec: ServiceSpec,
        tools: TaskTools,
        folder: Path,
        *,
        addresses: Addresses,
        target_groups: Mapping[str, TargetGroup],
        say: Say,
        on_change: Callable[[], None],
    ) -> None:
        """Keep their files in `folder`; register them with `target_groups`, by ARN."""
        self._spec: Final = spec
        self._tools: Final = tools
        self._folder: Final = folder
        self._addresses: Final = addresses
        self._target_groups: Final = target_groups
        self._say: Final = say
        self._on_change: Final = on_change
        self._hands: dict[str, Hand] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.stopped: deque[Task] = deque()

    def __iter__(self) -> Iterator[Hand]:
        return iter(tuple(self._hands.values()))

    def __len__(self) -> int:
        return len(self._hands)

    def sweep(self) -> None:
        """Delete the files of tasks that an earlier twin left behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, definition: TaskSpec, zone: str, deployment: str) -> None:
        """Start a task in a zone; without an address for it nothing happens but an event."""
        task_id = uuid4().hex
        try:
            address = self._addresses.take(zone, task_id)
        except AddressesTaken as error:
            self._say("task.unplaced", str(error))
            return
        task = Task(
            task_id,
            definition,
            (zone, address),
            folder=self._folder / task_id,
            tools=self._tools,
            on_change=self._on_change,
        )
        self._hands[task_id] = Hand(task, deployment)
        self._say("task.started", f"starts a task in {zone}", task=task_id, zone=zone)
        task.start()

    def notice(self) -> list[Hand]:
        """Register what runs now, and let go of what has stopped; return these."""
        ended = []
        for hand in self:
            if hand.is_leaving:
                continue
            if hand.task.status == RUNNING and not hand.is_registered:
                self._register(hand)
            if hand.task.status == STOPPED:
                ended.append(hand)
                self.retire(hand, hand.task.stop_code, hand.task.stop_reason)
        return ended

    def members(self, deployment: str) -> list[Member]:
        """Return the tasks as the scheduler sees them, without those that are leaving."""
        return [
            Member(
                hand.task.id,
                hand.task.zone,
                is_primary=hand.deployment == deployment,
                is_healthy=self.is_healthy(hand),
                is_unhealthy=self.is_unhealthy(hand),
            )
            for hand in self
            if not hand.is_leaving
        ]

    def is_healthy(self, hand: Hand) -> bool:
        """Tell whether a task runs and every check of it passes."""
        task = hand.task
        if task.status != RUNNING or (task.has_checks and task.health != HEALTHY):
            return False
        return all(state in {"healthy", "unused"} for state in self._target_states(hand))

    def is_unhealthy(self, hand: Hand) -> bool:
        """Tell whether a check of a task fails, and its grace period is over.

        The grace period is for the work of starting, so it does not shrink when the twin is fast.
        """
        if hand.running_since_s is None or hand.task.status != RUNNING:
            return False
        age_s = asyncio.get_running_loop().time() - hand.running_since_s
        if age_s < self._spec.grace_period_s:
            return False
        return hand.task.health == UNHEALTHY or "unhealthy" in self._target_states(hand)

    def get(self, task_id: str) -> Hand | None:
        """Return a task that has not left."""
        return self._hands.get(task_id)

    def retire(self, hand: Hand, code: str, reason: str) -> None:
        """Take a task out of its target groups, let it drain, and stop it."""
        if not hand.is_leaving:
            hand.is_leaving = True
            leaving = asyncio.create_task(self._retire(hand, code, reason))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """End all tasks at once, without draining: nobody will be served any more."""
        hands = list(self)
        for hand in hands:
            hand.is_leaving = True
        for leaving in tuple(self._leaving):
            leaving.cancel()
        await asyncio.gather(
            *(hand.task.stop(STOPPED_BY_SERVICE, "The service ends") for hand in hands),
            *self._leaving,
            return_exceptions=True,
        )

    async def _retire(self, hand: Hand, code: str, reason: str) -> None:
        task = hand.task
        has_ended = task.status == STOPPED
        if not has_ended:
            task.mark(DEACTIVATING)
        self._say(
            "task.stopped" if has_ended else "task.stopping",
            f"{'lost' if has_ended else 'stops'} a task in {task.zone}: {reason}",
            task=task.id,
            zone=task.zone,
        )
        draining = [group.deregister(task.address, port) for group, port in self._targets(hand)]
        if has_ended:
            # Nothing has to drain for it, but its address is not given away meanwhile.
            self._forget(hand)
        await asyncio.gather(*draining)
        await task.stop(code, reason)
        self._forget(hand)
        self._addresses.release(task.zone, task.id)

    def _forget(self, hand: Hand) -> None:
        if self._hands.pop(hand.task.id, None) is None:
            return
        self.stopped.append(hand.task)
        while len(self.stopped) > STOPPED_MAX:
            self.stopped.popleft().forget()
        self._on_change()

    def _register(self, hand: Hand) -> None:
        hand.is_registered = True
        hand.running_since_s = asyncio.get_running_loop().time()
        for group, port in self._targets(hand):
            group.register(hand.task.address, port, hand.task.zone, self._spec.groups)

    def _targets(self, hand: Hand) -> Iterator[tuple[TargetGroup, int]]:
        if hand.is_registered:
            for attachment in self._spec.attachments:
                group = self._target_groups.get(attachment.target_group)
                if group is not None:
                    yield group, local_port(attachment.port)

    def _target_states(self, hand: Hand) -> set[str]:
        return {group.health(hand.task.address, port).state for group, port in self._targets(hand)}

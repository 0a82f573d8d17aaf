"""The steps of a drill as they are done, one after the other, each with its times.

It is separate from the workload, which runs beside it and must not wait for it. Seconds in drill
files are the platform's; here they are divided by its speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from evertill.drill.checker import Lost
from evertill.drill.errors import DrillUnreadable, FaultRefused, GroundUnready
from evertill.drill.ground import Alarm, Glance, Ground
from evertill.drill.recovering import Recovery
from evertill.drill.steps import Step, filled, filled_values
from evertill.drill.writers import Epoch

POLL_S: Final = 0.25
# An unattended detection: so many probes in a row fail, this far apart.
PROBES: Final = 5
PROBE_INTERVAL_S: Final = 1.0
ALL: Final = "all"
LOST: Final = "lost"


class Done(msgspec.Struct, frozen=True):
    """A step that was done; times are the history's seconds. `told` is what a command said."""

    label: str
    began_s: float
    ended_s: float
    note: str = ""
    told: dict[str, Any] = {}


class Watch:
    """Looks at the platform all the time, to know when leases and alarms changed."""

    def __init__(self, ground: Ground) -> None:
        """Look at `ground`."""
        self._ground = ground
        self.epochs: dict[int, Epoch] = {}
        self.alarms: set[Alarm] = set()
        self.latest: Glance | None = None
        # The platform's clock when it was seen last, and the moment of that.
        self._seen: tuple[float, float] = (0.0, 0.0)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch meanwhile."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> Glance:
        """Look once."""
        glance = await self._ground.glance()
        self.latest = glance
        self._seen = (glance.up_s, time.time())
        self.alarms.update(glance.alarms)
        if glance.lease is not None and glance.lease.epoch not in self.epochs:
            lease = glance.lease
            self.epochs[lease.epoch] = Epoch(lease.epoch, lease.region, time.time())
        return glance

    def moment(self, up_s: float) -> float:
        """Return the moment (Unix time) at which the platform's clock showed `up_s`."""
        shown_s, at = self._seen
        return at - (shown_s - up_s) / self._ground.speed

    async def _watch(self) -> None:
        while True:
            # A platform in trouble may not answer for a while; the next look will.
            with contextlib.suppress(FaultRefused):
                await self.look()
            await asyncio.sleep(POLL_S)


class Actor:
    """Does the steps."""

    def __init__(
        self,
        ground: Ground,
        watch: Watch,
        recovery: Recovery,
        *,
        now_s: Callable[[], float],
        count_lost: Callable[[], Sequence[Lost]],
    ) -> None:
        """Act on `ground`; `now_s` is the history's clock, `count_lost` reads what is missing."""
        self._ground = ground
        self._watch = watch
        self._recovery = recovery
        self._now_s = now_s
        self._count_lost = count_lost
        self._faults: dict[str, str] = {}
        self.done: list[Done] = []

    async def act(self, steps: Sequence[Step], say: Callable[[str], None]) -> None:
        """Do all steps; raise what keeps one from being done."""
        for step in steps:
            await self.pause(step.wait_s)
            began_s = self._now_s()
            say(f"{began_s:7.1f} s  {step.label}")
            note, told = await self._do(step)
            self.done.append(Done(step.label, began_s, self._now_s(), note, told))
            if note:
                say(f"{self._now_s():7.1f} s  {step.label}: {note}")

    async def pause(self, platform_s: float) -> None:
        """Wait so many seconds of the platform's."""
        await asyncio.sleep(platform_s / self._ground.speed)

    async def _do(self, step: Step) -> tuple[str, dict[str, Any]]:
        words = self._ground.words
        if step.fault:
            values = filled_values(step.parameters, words)
            self._faults[step.label] = await self._ground.inflict(step.fault, values)
            return "", {}
        if step.undo:
            await self._ground.undo("" if step.undo == ALL else self._faults[step.undo])
            return "", {}
        if step.recovery:
            arguments = [filled(each, words) for each in step.recovery]
            told = await self._recovery.run(
                arguments, step.within_s, is_killed=step.kill_at_each_step
            )
            return told.note, told.document
        if step.count_lost:
            lost = await asyncio.to_thread(self._count_lost)
            return f"{len(lost)} acknowledged requests are gone", {LOST: list(lost)}
        if step.deploy:
            ended = await self._ground.deploy(step.deploy, step.within_s)
            return ended, {"ended": ended}
        return await self._wait(filled(step.until, words), step.within_s), {}

    async def _wait(self, what: str, within_s: float) -> str:
        """Wait until something holds; raise GroundUnready when it does not in time."""
        kind, _, about = what.partition(" ")
        began_s = self._now_s()
        try:
            async with asyncio.timeout(within_s):
                if kind == "unready":
                    await self._until_unready(about)
                else:
                    await self._until(self._condition(kind, about))
        except TimeoutError:
            raise GroundUnready(f"{what!r} did not come in {within_s:.0f} s.") from None
        return f"after {self._now_s() - began_s:.1f} s"

    async def _until_unready(self, region: str) -> None:
        """Wait until so many probes in a row found the region not ready."""
        failed = 0
        while failed < PROBES:
            failed = 0 if await self._ground.is_ready(region) else failed + 1
            await self.pause(PROBE_INTERVAL_S)

    def _condition(self, kind: str, about: str) -> Callable[[Glance], bool]:
        began = {alarm for alarm in self._watch.alarms if about in alarm.name}
        conditions: dict[str, Callable[[Glance], bool]] = {
            "steady": lambda glance: glance.is_steady,
            "active": lambda glance: glance.active == about,
            "alarm": lambda _: any(
                about in alarm.name and alarm not in began for alarm in self._watch.alarms
            ),
        }
        if kind not in conditions:
            known = ", ".join(sorted([*conditions, "unready"]))
            raise DrillUnreadable(f"There is nothing like {kind!r} to wait for; there is {known}.")
        return conditions[kind]

    async def _until(self, holds: Callable[[Glance], bool]) -> None:
        while True:
            with contextlib.suppress(FaultRefused):
                if holds(await self._watch.look()):
                    return
            await asyncio.sleep(POLL_S)

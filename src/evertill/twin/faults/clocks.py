"""Clocks that jump: of a region's tasks, functions and databases, or of one task."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from evertill.twin.faults.fault import Fault, NotRun, Undo, Values, regions
from evertill.twin.faults.tasks import chosen, tasks
from evertill.twin.parts.clocks import OFFSET_MAX_S, CannotJump
from evertill.twin.running.twin import Twin

Offset = Annotated[float, msgspec.Meta(ge=-OFFSET_MAX_S, le=OFFSET_MAX_S)]


class JumpClock(Fault, frozen=True):
    """Let clocks jump."""

    kind: ClassVar[str] = "jump-clock"
    summary: ClassVar[str] = "Let wall clocks jump, monotonic ones not. Needs `--clock-faults`."

    region: str = ""
    task: str = ""
    offset_s: Offset = 300

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region, and each task."""
        one: list[Values] = [{"task": item.id} for item in tasks(twin)]
        return [*({**target, "task": ""} for target in regions(twin)), *one]

    async def apply(self, twin: Twin) -> Undo:
        """Let them jump, within a second; undo lets them jump back. Raise NotRun."""
        clocks = twin.ground.clocks
        region = chosen(twin, self.task, "").spec.region if self.task else self.region
        try:
            clocks.jump(region, self.offset_s, self.task)
        except CannotJump as reason:
            raise NotRun(str(reason)) from None

        async def undo() -> None:
            clocks.jump(region, -self.offset_s, self.task)

        return undo

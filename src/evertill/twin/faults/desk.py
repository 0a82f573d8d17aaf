"""Who set which fault, and its undo: the one place where faults are set and taken back.

It is separate from the control API, so that tests and drills inside the process use the same one.
One at a time: what a fault does to several parts is done before the next one begins.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from evertill.twin.errors import TwinError
from evertill.twin.faults.fault import AlreadySet, Fault, Undo, Values
from evertill.twin.faults.registry import made
from evertill.twin.faults.tasks import ANY
from evertill.twin.running.twin import Twin

PART: Final = "faults"
# More than anybody can keep apart; what has passed counts until it is undone.
ACTIVE_MAX: Final = 200


class UnknownId(TwinError):
    """No fault that is set has this id."""

    code = "unknown_id"


class TooManyFaults(TwinError):
    """As many faults are set as can be kept apart. Undo some first."""

    code = "too_many_faults"


class Active(msgspec.Struct, frozen=True):
    """A fault that was set and not undone; `since_s` is in twin seconds since the start."""

    id: str
    fault: str
    parameters: Values
    since_s: float
    passes: bool


class Desk:
    """The faults of one twin."""

    def __init__(self, twin: Twin) -> None:
        """Begin with none set."""
        self._twin: Final = twin
        self._set: dict[str, tuple[Active, Undo]] = {}
        self._turn: Final = asyncio.Lock()
        self._number = 0

    def active(self) -> list[Active]:
        """Return what was set and not undone, the oldest first."""
        return [active for active, _ in self._set.values()]

    async def set(self, kind: str, parameters: Values) -> Active:
        """Set a fault; raise FaultUnknown, TargetUnknown, AlreadySet, NotRun or TooManyFaults."""
        async with self._turn:
            fault = made(self._twin, kind, parameters)
            self._check(fault)
            undo = await fault.apply(self._twin)
            self._number += 1
            active = Active(
                id=str(self._number),
                fault=kind,
                parameters=_shown(fault),
                since_s=round(self._twin.ground.clock.now_s(), 3),
                passes=fault.passes,
            )
            self._set[active.id] = active, undo
            self._tell("fault.set", active, f"{_sentence(active)}.")
            return active

    async def undo(self, fault_id: str) -> None:
        """Take one back; raise UnknownId, or what stands in the way, and then it stays set."""
        async with self._turn:
            if fault_id not in self._set:
                message = f"No fault {fault_id} is set."
                raise UnknownId(message)
            active, undo = self._set[fault_id]
            await undo()
            del self._set[fault_id]
            self._tell("fault.undone", active, f"{_sentence(active)} was undone.")

    async def undo_all(self) -> None:
        """Take all back, the last first; raise what stood in the way of any, after the others."""
        troubles: list[TwinError] = []
        for fault_id in reversed(list(self._set)):
            try:
                await self.undo(fault_id)
            except TwinError as trouble:
                troubles.append(trouble)
        if troubles:
            raise troubles[0]

    def _check(self, fault: Fault) -> None:
        if len(self._set) >= ACTIVE_MAX:
            raise TooManyFaults
        target = _target(fault, _shown(fault), self._twin)
        if ANY in target.values():
            return
        for active in self.active():
            is_same = active.fault == fault.kind and not active.passes
            if is_same and _target(fault, active.parameters, self._twin) == target:
                message = f"That is set already: undo {active.id} first."
                raise AlreadySet(message)

    def _tell(self, kind: str, active: Active, text: str) -> None:
        region = self._region_of(active.parameters)
        named = {f"parameter_{name}": value for name, value in active.parameters.items()}
        self._twin.ground.timeline.tell(
            region, PART, kind, text, id=active.id, fault=active.fault, **named
        )

    def _region_of(self, parameters: Values) -> str:
        region_of = self._twin.ground.plan.places.region_of_zones()
        if "zone" in parameters:
            return region_of[str(parameters["zone"])]
        return str(parameters.get("region", ""))


def _target(fault: Fault, parameters: Values, twin: Twin) -> Values:
    """Return the parameters that say what fails, without those that say how much."""
    names = {name for target in fault.targets(twin) for name in target}
    return {name: value for name, value in parameters.items() if name in names}


def _shown(fault: Fault) -> Values:
    """Return the parameters without those that say nothing."""
    given: Values = msgspec.to_builtins(fault)
    return {name: value for name, value in given.items() if value not in {"", False}}


def _sentence(active: Active) -> str:
    words = " ".join(f"{name}={value}" for name, value in active.parameters.items())
    return f"{active.fault} {words}".strip()

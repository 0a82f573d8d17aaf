"""What a fault is: a kind, parameters, possible targets, a way to set it and a way to undo it.

It is separate from the registry, which has to import every fault. A fault's fields are its
parameters, so that the API, the command line and the console need no other description of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

import msgspec

from evertill.twin.errors import TwinError
from evertill.twin.running.outages import Freezable
from evertill.twin.running.twin import Twin

Values = dict[str, str | float | bool]
# Undoes a fault that was set; undoing what has passed by itself does nothing.
Undo = Callable[[], Awaitable[None]]


class FaultUnknown(TwinError):
    """There is no such fault."""

    code = "unknown_fault"


class TargetUnknown(TwinError):
    """There is nothing like that which could fail."""

    code = "unknown_target"


class NotRun(TwinError):
    """The fault cannot be set on this machine."""

    code = "not_run"


class AlreadySet(TwinError):
    """The fault is set already."""

    code = "already_set"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault, with the parameters that it is to be set with as its fields."""

    kind: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    # A fault that passes leaves nothing to undo: what was killed is started again by itself.
    passes: ClassVar[bool] = False

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return the values of the parameters that say what fails, one set for each possibility."""
        raise NotImplementedError

    async def apply(self, twin: Twin) -> Undo:
        """Set the fault and return what undoes it; raise NotRun where that cannot be done here."""
        raise NotImplementedError


async def nothing() -> None:
    """Undo a fault that has passed."""


def frozen(found: Sequence[Freezable]) -> Undo:
    """Stop things as they are; return what thaws those that were not replaced meanwhile."""
    for item in found:
        item.freeze()

    async def thaw() -> None:
        for item in found:
            item.thaw()

    return thaw


def regions(twin: Twin) -> list[Values]:
    """Return each region as a target."""
    return [{"region": name} for name in twin.regions]


def zones(twin: Twin) -> list[Values]:
    """Return each zone as a target."""
    return [{"zone": zone} for zone in twin.ground.plan.places.region_of_zones()]

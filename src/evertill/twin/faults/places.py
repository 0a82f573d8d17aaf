"""Whole places that are lost: a zone, a region."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from evertill.twin.faults.fault import AlreadySet, Fault, Undo, Values, frozen, regions, zones
from evertill.twin.running.twin import Twin


class LoseZone(Fault, frozen=True):
    """Lose a zone."""

    kind: ClassVar[str] = "lose-zone"
    summary: ClassVar[str] = (
        "Lose a zone: tasks, balancer node, database, functions. Undo restores."
    )

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone."""
        return zones(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Lose it; undo gives it back, empty but with the data of its database."""
        await twin.outages.lose_zone(self.zone)
        return partial(twin.outages.restore_zone, self.zone)


class FreezeZone(Fault, frozen=True):
    """Let a zone hang."""

    kind: ClassVar[str] = "freeze-zone"
    summary: ClassVar[str] = "Stop all that runs in a zone as it is (SIGSTOP)."

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone."""
        return zones(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it; undo thaws what was not replaced meanwhile."""
        return frozen(twin.outages.running_in([self.zone]))


class LoseRegion(Fault, frozen=True):
    """Lose a region."""

    kind: ClassVar[str] = "lose-region"
    summary: ClassVar[str] = "Lose a region: all that runs there, its links and its AWS API."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region."""
        return regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Lose it; undo brings it back with the data that it had."""
        _check_there(twin, self.region)
        await twin.outages.lose_region(self.region)
        return partial(twin.outages.restore_region, self.region)


class FreezeRegion(Fault, frozen=True):
    """Let a region hang."""

    kind: ClassVar[str] = "freeze-region"
    summary: ClassVar[str] = "Stop all of a region as it is, unreachable; undo lets it go on."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region."""
        return regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it; after the undo it goes on as if nothing had happened meanwhile."""
        _check_there(twin, self.region)
        await twin.outages.freeze_region(self.region)
        return partial(twin.outages.thaw_region, self.region)


def _check_there(twin: Twin, region: str) -> None:
    if not twin.outages.is_up(region):
        message = f"{region} is lost or frozen already."
        raise AlreadySet(message)

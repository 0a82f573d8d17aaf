"""Whole places that are lost: a zone, a region."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from evertill.twin.faults.fault import Fault, Undo, Values, regions, zones
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
        await twin.outages.lose_region(self.region)
        return partial(twin.outages.restore_region, self.region)

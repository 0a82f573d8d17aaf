"""Storage that is full, slow or gone: of the databases, of the objects, of the witness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final

import msgspec

from evertill.twin.faults.fault import Fault, NotRun, Undo, Values, regions
from evertill.twin.links import DELAY_MAX_MS, OPEN, Links, Way
from evertill.twin.parts.cluster import Cluster
from evertill.twin.parts.gate import Gate
from evertill.twin.parts.small_disk import CannotFill
from evertill.twin.running.twin import Twin

CUT: Final = Way(is_cut=True)
Delay = Annotated[float, msgspec.Meta(gt=0, le=DELAY_MAX_MS)]


def clusters(twin: Twin, region: str) -> list[Cluster]:
    """Return the database clusters of a region."""
    return [item for item in twin.databases.clusters.values() if item.spec.region == region]


def database_regions(twin: Twin) -> list[Values]:
    """Return each region that has a database."""
    return [target for target in regions(twin) if clusters(twin, str(target["region"]))]


class FillDisk(Fault, frozen=True):
    """Fill the disks of a region's databases."""

    kind: ClassVar[str] = "fill-disk"
    summary: ClassVar[str] = "Fill the databases' disks (real ENOSPC). Needs `twin up --disk-mb`."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region that has a database."""
        return database_regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Fill them; undo frees what was taken. Raise NotRun where no disk is small."""
        found = clusters(twin, self.region)

        async def undo() -> None:
            for cluster in found:
                await cluster.empty_disks()

        try:
            for cluster in found:
                await cluster.fill_disks()
        except CannotFill as reason:
            await undo()
            raise NotRun(str(reason)) from None
        return undo


class SlowDisk(Fault, frozen=True):
    """Slow the storage of a region's databases down."""

    kind: ClassVar[str] = "slow-disk"
    summary: ClassVar[str] = "Slow the databases' storage: each commit waits so much longer."

    region: str
    delay_ms: Delay = 200

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region that has a database."""
        return database_regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Let the copies in the other zones have the log later: what Aurora's commits wait for."""
        found = clusters(twin, self.region)
        for cluster in found:
            cluster.slow_disks(self.delay_ms)

        async def undo() -> None:
            for cluster in found:
                cluster.slow_disks(-self.delay_ms)

        return undo


class SlowDatabase(Fault, frozen=True):
    """Slow a region's databases down."""

    kind: ClassVar[str] = "slow-database"
    summary: ClassVar[str] = "Slow the databases: each answer takes so much longer, reads too."

    region: str
    delay_ms: Delay = 200

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region that has a database."""
        return database_regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Delay what comes from them through every gate that leads there."""
        zones = twin.regions[self.region].zones
        gates: list[Gate] = list(twin.databases.gates)
        for gate in gates:
            gate.slow(zones, self.delay_ms)

        async def undo() -> None:
            for gate in gates:
                gate.slow(zones, -self.delay_ms)

        return undo


class StopObjects(Fault, frozen=True):
    """Stop a region's object store."""

    kind: ClassVar[str] = "stop-objects"
    summary: ClassVar[str] = "Stop the region's object store: S3 answers 503, nothing is copied."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region."""
        return regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Stop it; undo lets it answer again, with what it had."""
        self._set(twin, is_stopped=True)

        async def undo() -> None:
            self._set(twin, is_stopped=False)

        return undo

    def _set(self, twin: Twin, *, is_stopped: bool) -> None:
        twin.regions[self.region].aws.are_objects_stopped = is_stopped


class StopWitness(Fault, frozen=True):
    """Lose the region that only votes on strongly consistent tables."""

    kind: ClassVar[str] = "stop-witness"
    summary: ClassVar[str] = "Lose the witness of the global tables: the two replicas are left."

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return the one possibility, where there is a witness."""
        return [{}] if any(_witnesses(twin)) else []

    async def apply(self, twin: Twin) -> Undo:
        """Let nobody reach it, which is all that anybody sees of it."""
        self._set(twin, CUT)

        async def undo() -> None:
            self._set(twin, OPEN)

        return undo

    def _set(self, twin: Twin, way: Way) -> None:
        for witness in _witnesses(twin):
            twin.ground.links.set(witness, Links.ANY, way)
            twin.ground.links.set(Links.ANY, witness, way)


def _witnesses(twin: Twin) -> Iterator[str]:
    for spec in twin.shared.specs:
        yield from spec.witnesses

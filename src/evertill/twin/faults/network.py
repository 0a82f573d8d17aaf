"""Links that are cut, slow or narrow, from one place to another or both ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Annotated, ClassVar
from uuid import uuid4

import msgspec

from evertill.twin.faults.fault import Fault, Undo, Values
from evertill.twin.links import DELAY_MAX_MS, OPEN, Way
from evertill.twin.running.twin import Twin

# Times and throughputs of links are in twin time, as a template's are.
DelayMs = Annotated[float, msgspec.Meta(gt=0, le=DELAY_MAX_MS)]
BytesPerS = Annotated[float, msgspec.Meta(gt=0)]


class LinkFault(Fault, frozen=True):
    """What all faults of links have: the two places, regions or zones of one region."""

    source: str = msgspec.field(name="from")
    to: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region to each other one, and each zone to each other one of its region."""
        return list(_pairs(twin))

    def set_on(self, twin: Twin, way: Way, *, is_one_way: bool) -> Undo:
        """Set a way, or both, under a name that nobody else undoes."""
        links, by = twin.ground.links, f"{self.kind} {uuid4().hex}"
        pairs = [(self.source, self.to)]
        if not is_one_way:
            pairs.append((self.to, self.source))
        for source, target in pairs:
            links.set(source, target, way, by)

        async def undo() -> None:
            for source, target in pairs:
                links.set(source, target, OPEN, by)

        return undo


class CutLink(LinkFault, frozen=True):
    """Cut a link."""

    kind: ClassVar[str] = "cut-link"
    summary: ClassVar[str] = "Cut a link: nothing gets through, and nobody is told so."

    one_way: bool = False

    async def apply(self, twin: Twin) -> Undo:
        """Cut it."""
        return self.set_on(twin, Way(is_cut=True), is_one_way=self.one_way)


class DelayLink(LinkFault, frozen=True):
    """Slow a link down."""

    kind: ClassVar[str] = "delay-link"
    summary: ClassVar[str] = "Let everything on a link take longer, each way."

    delay_ms: DelayMs
    one_way: bool = False

    async def apply(self, twin: Twin) -> Undo:
        """Delay it."""
        return self.set_on(twin, Way(delay_ms=self.delay_ms), is_one_way=self.one_way)


class ThrottleLink(LinkFault, frozen=True):
    """Make a link narrow."""

    kind: ClassVar[str] = "throttle-link"
    summary: ClassVar[str] = "Let a link carry so many bytes a second and no more, each way."

    bytes_per_s: BytesPerS
    one_way: bool = False

    async def apply(self, twin: Twin) -> Undo:
        """Narrow it."""
        return self.set_on(twin, Way(bytes_per_s=self.bytes_per_s), is_one_way=self.one_way)


def _pairs(twin: Twin) -> Iterator[Values]:
    regions = twin.ground.plan.places.regions
    for places in (tuple(regions), *regions.values()):
        for one, other in permutations(places, 2):
            yield {"from": one, "to": other}

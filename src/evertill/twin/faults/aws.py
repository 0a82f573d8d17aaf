"""AWS itself failing: copies that wait, a broken control API, calls that are turned down."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from evertill.twin.faults.fault import Fault, Undo, Values, regions
from evertill.twin.running.twin import Twin


class PauseObjects(Fault, frozen=True):
    """Pause the replication of objects."""

    kind: ClassVar[str] = "pause-objects"
    summary: ClassVar[str] = "Let no object of a region's buckets be copied to other regions."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region whose buckets are copied."""
        return [{"region": name} for name, region in twin.regions.items() if region.aws.copies]

    async def apply(self, twin: Twin) -> Undo:
        """Pause it; undo lets it go on with all that has waited."""
        copies = twin.regions[self.region].aws.copies
        for copy in copies:
            copy.pause(is_paused=True)

        async def resume() -> None:
            for copy in copies:
                copy.pause(is_paused=False)

        return resume


class BreakDns(Fault, frozen=True):
    """Break the control of DNS."""

    kind: ClassVar[str] = "break-dns"
    summary: ClassVar[str] = "Let Route 53's API fail; DNS goes on to answer and to fail over."

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return the one there is: Route 53 belongs to no region."""
        del twin
        return [{}]

    async def apply(self, twin: Twin) -> Undo:
        """Break it."""
        twin.outages.break_dns()

        async def mend() -> None:
            twin.outages.mend_dns()

        return mend


class ThrottleApi(Fault, frozen=True):
    """Turn API calls down."""

    kind: ClassVar[str] = "throttle-api"
    summary: ClassVar[str] = "Turn down a share of a region's AWS API calls (ThrottlingException)."

    region: str
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region."""
        return regions(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Turn them down, each by chance."""
        throttle = twin.regions[self.region].throttle
        throttle.share = self.share

        async def undo() -> None:
            throttle.share = 0.0

        return undo

"""What every part of the twin is to its supervisor: a name, a start, a stop and a status.

It is separate so that parts need not know the supervisor, nor it them.
"""

from __future__ import annotations

from typing import Any, Protocol


class Part(Protocol):
    """One running thing. Its name is unique: `us-east-1/database/payment-db-dev`."""

    @property
    def name(self) -> str:
        """Return the name, which events and faults use."""

    async def start(self) -> None:
        """Come up as far as it depends on nobody else; raise PartFailed, leaving nothing behind."""

    async def stop(self) -> None:
        """End whatever runs, in good order, within a bound; never raise."""

    def status(self) -> dict[str, Any]:
        """Return how it is, as JSON-able values, at once and without asking anybody."""


class Metrics(Protocol):
    """Takes what AWS would publish to CloudWatch, under its own names, units and dimensions."""

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        **dimensions: str,
    ) -> None:
        """Publish one value now, in the region where AWS publishes it."""

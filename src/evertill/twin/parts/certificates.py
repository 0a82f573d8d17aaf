"""How long certificates are valid, published as ACM does: in days, twice a day, by their ARNs.

It is separate from who makes them, because the alarms on a certificate's end hang on the metric:
https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from evertill.twin.clock import Clock
from evertill.twin.part import Metrics

NAMESPACE: Final = "AWS/CertificateManager"
METRIC: Final = "DaysToExpiry"
INTERVAL_S: Final = 12 * 3600


class CertificateExpiry:
    """Publishes for the certificates of one region."""

    def __init__(
        self,
        region: str,
        arns: Sequence[str],
        days_left: Callable[[str], float],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`days_left` tells of a certificate, by its ARN, how many days it is still valid."""
        self._region: Final = region
        self._arns: Final = tuple(arns)
        self._days_left: Final = days_left
        self._clock: Final = clock
        self._metrics: Final = metrics
        self._publishing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/certificates/expiry"

    async def start(self) -> None:
        """Publish at once, and go on."""
        self._publish()
        self._publishing = asyncio.create_task(self._publish_for_ever())

    async def stop(self) -> None:
        """Publish no more."""
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await publishing

    def status(self) -> dict[str, Any]:
        """Return the days that each certificate has left."""
        return {arn: round(self._days_left(arn), 1) for arn in self._arns}

    def _publish(self) -> None:
        for arn in self._arns:
            days = self._days_left(arn)
            self._metrics.put(self._region, NAMESPACE, METRIC, days, "None", CertificateArn=arn)

    async def _publish_for_ever(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            self._publish()

"""What each guard of the group commit costs: its statement's wall time per payment of a batch.

The statements are those of the service, called by the service's own code, but one after the other
and each waited for, so that the time of each is its own. It shows what a guard costs the database;
with the statements of a batch sent at once, as the service does, a guard costs no round trip.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast

from benchmarks import bounds, databases, machine, workload
from benchmarks.progress import say
from evertill.authority.keeping import Alone
from evertill.domain import ids
from evertill.domain.idempotency import body_digest, scope_digest
from evertill.domain.rules import Attempt, Merchant, MerchantTerms, source_key
from evertill.service.payments import CREATE
from evertill.storage import batch as batches
from evertill.storage.database import service_conninfo
from evertill.storage.pipeline import Pipeline
from evertill.storage.submissions import Submission

BATCH_SIZE: Final = 300
BATCHES: Final = 60
WARM_UP_BATCHES: Final = 10


class _Timed:
    """A pipeline that sends one statement at a time and notes how long each took."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.spent_us: defaultdict[str, list[float]] = defaultdict(list)
        self.rows = pipeline.rows
        self._pipeline = pipeline
        self._queued: list[tuple[str, tuple[bytes, ...]]] = []

    def send(self, name: str, *parameters: bytes) -> None:
        """Remember a statement."""
        self._queued.append((name, parameters))

    def flush(self) -> None:
        """Send nothing yet: `results` sends each statement by itself."""

    async def sync(self) -> list[Any]:
        """Do what `results` does."""
        return await self.results()

    async def results(self) -> list[Any]:
        """Run what was remembered, one statement after the other."""
        results: list[Any] = []
        for name, parameters in self._queued:
            began_s = time.perf_counter()
            self._pipeline.send(name, *parameters)
            results += await self._pipeline.sync()
            self.spent_us[name].append((time.perf_counter() - began_s) * 1e6 / BATCH_SIZE)
        self._queued.clear()
        return results


def run(scale: bounds.Scale, seed: int) -> dict[str, Any]:
    """Measure on a prefilled database and return microseconds per payment, by statement."""
    with databases.temporary_cluster() as cluster:
        settings = databases.read_settings(cluster)
        say(f"filling a database with {scale.prefilled:,} payments")
        merchants = databases.create_own(
            cluster, "own", workload.api_keys(seed), workload.regulars(seed)
        )
        address = databases.url(cluster, "own")
        databases.prefill(address, scale.prefilled, part=(1, 1), days=databases.PREFILL_DAYS)
        databases.settle(address)
        spent_us = asyncio.run(_measure(address, merchants, seed))
    return {"machine": machine.describe(settings), "seed": seed, "guards_us": spent_us}


async def _measure(
    address: str, merchants: list[databases.Merchant], seed: int
) -> dict[str, float]:
    pipeline = await Pipeline.connect(service_conninfo(address), batches.HOT_STATEMENTS)
    timed = _Timed(pipeline)
    terms = MerchantTerms(payments_per_s_max=bounds.PAYMENTS_PER_S_MAX)
    known = [Merchant(row.merchant_id, active=True, terms=terms) for row in merchants]
    draw = workload.Workload(seed, merchants)
    for number in range(WARM_UP_BATCHES + BATCHES):
        if number == WARM_UP_BATCHES:
            timed.spent_us.clear()
        attempts = draw.attempts(BATCH_SIZE)
        batch = [_submission(known[merchant], attempt) for merchant, attempt in attempts]
        await _commit(cast("Pipeline", timed), batch)
    pipeline.close()
    return {name: round(statistics.median(each), 2) for name, each in timed.spent_us.items()}


async def _commit(pipeline: Pipeline, batch: Sequence[Submission]) -> None:
    claimed = await batches.claim(pipeline, batch)
    decided = batches.decide_batch(batch, claimed).decided
    await batches.record(pipeline, claimed.at, decided, Alone().permit())


def _submission(merchant: Merchant, attempt: Attempt) -> Submission:
    payment_id = ids.new_id()
    return Submission(
        merchant=merchant,
        attempt=attempt,
        description=None,
        capture=True,
        source_key=source_key(merchant.merchant_id, attempt.currency, attempt.source),
        key_digest=scope_digest(merchant.merchant_id, CREATE, "", payment_id.hex()),
        body_digest=body_digest(payment_id),
        payment_id=payment_id,
        event_id=ids.new_id(),
        deadline_s=0.0,
    )

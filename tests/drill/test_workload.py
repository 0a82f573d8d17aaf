"""The drill's clients, history, checks and figures, while a real worker or PostgreSQL dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.drill.world import drill, evidence_of
from tests.faults.world import Supervised, own_cluster
from tests.support.postgres import Database
from tests.support.service import create_merchant

from evertill.domain.rules import MerchantTerms
from evertill.drill.checker import judge
from evertill.drill.figures import observe

PLENTY = MerchantTerms(payments_per_s_max=100_000)
CALM_S = 2.0


def test_a_killed_worker_is_seen_by_clients_and_costs_nothing(
    database: Database, tmp_path: Path
) -> None:
    merchant = create_merchant(database, PLENTY)
    log = tmp_path / "log"
    service = Supervised(database, tmp_path, workers=2, log_folder=str(log))
    marks: list[float] = []

    async def story(now_s: Callable[[], float]) -> None:
        await asyncio.sleep(CALM_S)
        marks.append(now_s())
        await asyncio.to_thread(service.kill_one, 0)
        await asyncio.to_thread(service.kill_one, 1)
        await asyncio.sleep(CALM_S)

    async def whole() -> None:
        history = await drill(service.url, merchant.key, tmp_path, story)
        verdict = judge(await evidence_of(history, database, merchant, log))
        assert [] == verdict.violations
        assert ([], [], 0.0) == (verdict.lost, verdict.phantoms, verdict.dual_writer_ms)
        seen = observe(history, marks[0], float("inf"))
        assert (0, 0) == (seen.failed_requests, seen.held_back)
        assert seen.requests > 50
        assert seen.outages["active"].normal_s < 10

    with service.running():
        asyncio.run(whole())


@pytest.mark.slow
def test_a_killed_postgresql_is_an_outage_with_a_length(tmp_path: Path) -> None:
    marks: list[float] = []
    log = tmp_path / "log"
    with own_cluster() as (cluster, database):
        merchant = create_merchant(database, PLENTY)
        service = Supervised(database, tmp_path, workers=2, log_folder=str(log))

        async def story(now_s: Callable[[], float]) -> None:
            await asyncio.sleep(CALM_S)
            marks.append(now_s())
            os.kill(cluster.pid, signal.SIGKILL)
            await asyncio.sleep(1)
            await asyncio.to_thread(cluster.restart)
            await asyncio.sleep(3 * CALM_S)

        async def whole() -> None:
            history = await drill(service.url, merchant.key, tmp_path, story)
            verdict = judge(await evidence_of(history, database, merchant, log))
            assert [] == verdict.violations
            assert [] == verdict.lost
            seen = observe(history, marks[0], float("inf"))
            outage = seen.outages["active"]
            assert 1.0 < outage.first_success_s <= outage.normal_s < 30
            assert 1.0 < seen.longest_gap_s
            assert 0 < outage.failed_tries
            assert 0 == seen.failed_requests
            assert seen.latencies["before"].p50_ms < seen.latencies["during"].p50_ms

        with service.running():
            asyncio.run(whole())

"""Workers, connections and PostgreSQL itself die in the middle of load; then the books are checked.

Clients keep a history of all they asked and were answered, and repeat what is unknown under the
same key. Whatever dies: nothing acknowledged is lost, nothing is taken twice, money is conserved.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.conftest import StartService
from tests.faults.world import Supervised, own_cluster, wait_for_workers
from tests.support.history import SUCCESS, UNKNOWN, Load, violations
from tests.support.postgres import Database
from tests.support.service import (
    START_TIMEOUT_S,
    Api,
    Json,
    Merchant,
    Service,
    create_merchant,
    new_payment,
    wait_until,
)

from evertill.domain.rules import MerchantTerms
from evertill.quickstart import Cluster

HEALTH_TIMEOUT_S = 2.0
DRAIN_TIMEOUT_S = 20.0
PLENTY = MerchantTerms(payments_per_s_max=100_000)
TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'evertill'
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[tuple[Cluster, Database]]:
    """Give a cluster that may be killed, and its database."""
    with own_cluster() as both:
        yield both


WORKERS = 2
KILLS_MIN = 4
KILLS_MAX = 10


def test_a_killed_worker_costs_no_payment(database: Database, tmp_path: Path) -> None:
    merchant = create_merchant(database, PLENTY)
    service = Supervised(database, tmp_path, workers=WORKERS)
    load = Load(service.url, merchant)
    with service.running():
        with load.running() as history:
            for kills in range(KILLS_MAX):
                # A kill between two commits hits no request, so it is tried again until one does.
                if kills >= KILLS_MIN and history.count(UNKNOWN):
                    break
                load.wait_for(more=60)
                # The worker before it was killed, so that this one has every client.
                service.kill_one(kills % WORKERS)
            load.wait_for(more=60)
        assert [] == violations(history, database, merchant), history.summary()
    assert 0 < history.count(UNKNOWN), "no request was in flight when its worker was killed"


@pytest.mark.slow
def test_a_killed_postgresql_costs_no_payment(
    mortal: tuple[Cluster, Database], tmp_path: Path
) -> None:
    cluster, database = mortal
    merchant = create_merchant(database, PLENTY)
    service = Supervised(database, tmp_path, workers=2)
    load = Load(service.url, merchant)
    with service.running():
        with load.running() as history:
            for _ in range(3):
                load.wait_for(more=60)
                os.kill(cluster.pid, signal.SIGKILL)
                cluster.restart()
            load.wait_for(more=60)
        assert [] == violations(history, database, merchant), history.summary()


def test_commit_connections_that_are_cut_again_and_again_cost_no_payment(
    database: Database, tmp_path: Path
) -> None:
    merchant = create_merchant(database, PLENTY)
    service = Supervised(database, tmp_path, workers=2)
    load = Load(service.url, merchant)
    with service.running():
        with load.running() as history:
            cut = 0
            for _ in range(25):
                load.wait_for(more=10)
                cut += database.rows(TERMINATE)[0][0]
            load.wait_for(more=60)
        assert [] == violations(history, database, merchant), history.summary()
    assert 25 <= cut


def test_a_worker_that_is_told_to_end_answers_what_it_has(
    database: Database, start_service: StartService
) -> None:
    """The other worker goes on, so that clients are not refused and all can be compared."""
    service, merchant, load = _two_workers(database, start_service)
    with load.running() as history:
        load.wait_for(more=100)
        leaving = service.processes[0]
        leaving.send_signal(signal.SIGTERM)
        assert 0 == leaving.wait(DRAIN_TIMEOUT_S)
        load.wait_for(more=100)
    assert [] == violations(history, database, merchant), history.summary()


def test_all_workers_told_to_end_lose_nothing_acknowledged(
    database: Database, start_service: StartService
) -> None:
    service, merchant, load = _two_workers(database, start_service)
    with load.running() as history:
        load.wait_for(more=100)
        for process in service.processes:
            process.send_signal(signal.SIGTERM)
        assert [0, 0] == [process.wait(DRAIN_TIMEOUT_S) for process in service.processes]
        acknowledged = history.count(SUCCESS)
        for _ in range(2):
            service.start_worker()
        del service.processes[:2]
        load.wait_for(more=100)
    assert 100 <= acknowledged
    assert [] == violations(history, database, merchant), history.summary()


def _two_workers(database: Database, start_service: StartService) -> tuple[Service, Merchant, Load]:
    """Start a service of two workers and make a merchant and a load for it."""
    service = start_service(database, workers=2)
    wait_for_workers(database, 2)
    merchant = create_merchant(database, PLENTY)
    return service, merchant, Load(service.url, merchant)


def test_a_process_starts_without_its_database_and_takes_payments_when_it_comes(
    mortal: tuple[Cluster, Database], start_service: StartService
) -> None:
    cluster, database = mortal
    merchant = create_merchant(database, PLENTY)
    cluster.stop()
    service = start_service(database, until="/health")
    assert 503 == httpx.get(f"{service.url}/ready").status_code
    api = Api(service, merchant)
    early = api.pay()
    assert (503, "2") == (early.status_code, early.headers["retry-after"])
    cluster.start()
    wait_until(lambda: httpx.get(f"{service.url}/ready").status_code == 200, START_TIMEOUT_S)
    assert 201 == api.pay().status_code
    api.close()


def test_a_database_that_goes_away_for_good_leaves_the_process_responsive(
    mortal: tuple[Cluster, Database], start_service: StartService
) -> None:
    cluster, database = mortal
    merchant = create_merchant(database, PLENTY)
    service = start_service(database)
    api = Api(service, merchant)
    assert 201 == api.pay().status_code
    cluster.stop()
    wait_until(lambda: httpx.get(f"{service.url}/ready").status_code == 503, START_TIMEOUT_S)
    began_s = time.monotonic()
    answer = api.pay()
    assert (503, "2") == (answer.status_code, answer.headers["retry-after"])
    assert time.monotonic() - began_s < 8
    assert 200 == httpx.get(f"{service.url}/health", timeout=HEALTH_TIMEOUT_S).status_code
    cluster.start()
    wait_until(lambda: api.pay().status_code == 201, START_TIMEOUT_S)
    api.close()


@pytest.mark.parametrize("wait_s", [0.0, 0.03, 0.06, 0.1])
def test_a_batch_of_the_last_moment_is_there_whole_or_not_at_all(
    mortal: tuple[Cluster, Database], start_service: StartService, wait_s: float
) -> None:
    """PostgreSQL is killed while it commits 1000 payments; then the same batch is sent again."""
    cluster, database = mortal
    merchant = create_merchant(database, PLENTY)
    service = start_service(database)
    api = Api(service, merchant)
    items = [new_payment(idempotency_key=f"item-{number}") for number in range(1000)]

    def send() -> httpx.Response:
        return api.post("/v1/payments/batch", {"payments": items}, "")

    assert 201 == api.pay().status_code
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(send)
        time.sleep(wait_s)
        os.kill(cluster.pid, signal.SIGKILL)
        cluster.restart()
        acknowledged = _acknowledged(first.result())
    again: dict[int, Json] = {}

    def all_are_taken() -> bool:
        answer = send()
        again.update(_acknowledged(answer))
        refused = {r["status"]: r for r in answer.json().get("results", ()) if r["status"] != 201}
        assert not {400, 422} & set(refused), refused
        return len(again) == len(items)

    wait_until(all_are_taken, START_TIMEOUT_S)
    assert acknowledged == {place: again[place] for place in acknowledged}
    rows = database.rows(
        "SELECT count(*), (SELECT count(*) FROM transfers WHERE merchant_id = %s)"
        " FROM payments WHERE merchant_id = %s",
        [merchant.merchant_id, merchant.merchant_id],
    )
    assert [(1001, 1001)] == rows
    api.close()


def _acknowledged(answer: httpx.Response) -> dict[int, Json]:
    """Return the payments of a batch that were taken, by their place in it."""
    if answer.status_code != 200:
        return {}
    return {
        place: result["body"]
        for place, result in enumerate(answer.json()["results"])
        if result["status"] == 201
    }

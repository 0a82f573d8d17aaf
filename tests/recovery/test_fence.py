"""The lease is taken when it is over for sure: because it stood still, or because it was outwaited.

Seconds of leases pass sixty times as fast here, for holder and taker alike.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from tests.recovery.worlds import NEW, OLD, lost_world
from tests.support.aws import Aws

from evertill.authority.lease import TAKEOVER_WAIT_S, Found, Lease, Look, Renew, Take
from evertill.authority.table import Table
from evertill.authority.taking import Taker
from evertill.recovery.deployment import Deployment
from evertill.recovery.errors import RegionSilent
from evertill.recovery.journal import Journal, begin, unfinished
from evertill.recovery.plan import make_plan
from evertill.recovery.regions import Reports
from evertill.recovery.steps.fence import fence, give_back
from evertill.recovery.steps.running import Run
from evertill.recovery.surroundings import Surroundings

SPEED = 60.0


@pytest.fixture
def deployment(aws: Aws) -> Deployment:
    found = Deployment(uuid.uuid4().hex[:12], "evertill.internal", (OLD, NEW), 3, 6, 1)
    # The emulator keeps tables by region: here, that of the replica which the taker asks.
    boto3.client("dynamodb", endpoint_url=aws.url, region_name=NEW).create_table(
        TableName=found.lease_table,
        KeySchema=[{"AttributeName": "lease", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lease", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return found


@pytest.fixture
def table(aws: Aws, deployment: Deployment) -> Table:
    found = Table(deployment.lease_table, [NEW], aws.url)
    assert Lease(OLD, 1, 1) == found.call(Found(OLD))
    return found


@pytest.fixture
def run(aws: Aws, deployment: Deployment, table: Table, tmp_path: Path) -> Run:
    assert table.call(Look()) is not None
    return run_of(
        aws, deployment, begin(tmp_path, make_plan("failover", NEW, lost_world(), deployment))
    )


def run_of(aws: Aws, deployment: Deployment, journal: Journal) -> Run:
    around = Surroundings(
        deployment,
        endpoints={OLD: "http://127.0.0.1:9", NEW: aws.url},
        find_door=lambda _: "https://127.0.0.1:9",
        authorities=None,
        speed=SPEED,
        reports=Reports(),
    )
    around.forgo(OLD)
    return Run(around, journal, Taker(NEW), key="", say=lambda _: None)


@contextmanager
def renewing(table: Table) -> Iterator[list[bool]]:
    """Renew as tasks of the old region do, until the lease is theirs no more."""
    stopping, renewed = threading.Event(), []

    def renew() -> None:
        while not stopping.is_set():
            renewed.append(isinstance(table.call(Renew(OLD, 1)), Lease))
            time.sleep(0.02)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield renewed
    finally:
        stopping.set()
        thread.join()


def test_a_lease_that_stands_still_is_taken_after_its_duration_and_no_sooner(
    run: Run, table: Table
) -> None:
    begun_s = run.pace.now_s()
    fence(run)
    assert run.pace.now_s() - begun_s >= TAKEOVER_WAIT_S
    assert Lease(NEW, 2, 2) == table.call(Look())
    assert 2 == run.facts["epoch"]


def test_a_lease_that_was_watched_before_is_taken_so_much_earlier(run: Run, table: Table) -> None:
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    run.taker.saw(seen, run.pace.now_s() - TAKEOVER_WAIT_S)
    begun_s = run.pace.now_s()
    fence(run)
    assert run.pace.now_s() - begun_s < TAKEOVER_WAIT_S


def test_a_lease_that_goes_on_being_renewed_is_taken_and_outwaited(run: Run, table: Table) -> None:
    with renewing(table) as renewed:
        fence(run)
        assert renewed[0]
        assert not renewed[-1]
    assert run.facts["living_over"]
    # Twice the wait to be sure that it lives, and once more for what its tasks had left.
    assert run.facts["waited_s"] >= 3 * TAKEOVER_WAIT_S


def test_whoever_was_killed_after_taking_from_the_living_waits_again(
    aws: Aws, deployment: Deployment, run: Run, table: Table
) -> None:
    run.journal.note(taken_from_living=True)
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    table.call(Take(NEW, seen))
    journal = unfinished(run.journal.folder.parent)
    assert journal is not None
    again = run_of(aws, deployment, journal)
    begun_s = again.pace.now_s()
    fence(again)
    assert again.pace.now_s() - begun_s >= TAKEOVER_WAIT_S


def test_whoever_was_killed_after_the_take_finds_the_lease_its_own(run: Run, table: Table) -> None:
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    taken = table.call(Take(NEW, seen))
    begun_s = run.pace.now_s()
    fence(run)
    assert run.pace.now_s() - begun_s < TAKEOVER_WAIT_S
    assert taken == table.call(Look())


def test_a_lease_is_given_back_in_a_later_epoch(run: Run, table: Table) -> None:
    seen = table.call(Look())
    assert isinstance(seen, Lease)
    table.call(Take(NEW, seen))
    assert "epoch 3" in give_back(run)
    assert Lease(OLD, 3, 3) == table.call(Look())


def test_a_region_that_is_failed_over_from_is_not_called(run: Run) -> None:
    with pytest.raises(RegionSilent, match="is not asked"):
        run.around.region(OLD).call("ecs", "list_clusters")
    assert [NEW] == run.around.asked()

"""The service takes payments while its region holds the lease, and not a moment longer."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest
from tests.conftest import StartService
from tests.support.aws import Aws
from tests.support.postgres import Database
from tests.support.service import Api, Service, create_merchant, problem_of, wait_until
from tests.support.standby import nowhere

from evertill.authority.lease import Lease, Look, Take
from evertill.authority.table import Table

ACTIVE, STANDBY = "us-east-1", "us-east-2"
# Fast enough for a test, and slow enough for a machine that does much else meanwhile.
SPEED = 4.0
DEADLINE_S = 20.0
AT_ONCE_S = 2.0


@pytest.fixture
def table(aws: Aws, table_name: str) -> Table:
    return Table(table_name, [ACTIVE, STANDBY], aws.url)


@pytest.fixture
def leased(start_service: StartService, database: Database, aws: Aws, table_name: str) -> Service:
    return start_service(
        database,
        region=ACTIVE,
        authority_table=table_name,
        authority_regions=f"{ACTIVE},{STANDBY}",
        aws_endpoint_url=aws.url,
        time_scale=SPEED,
    )


def take_over(table: Table) -> None:
    def take() -> bool:
        seen = table.call(Look())
        assert isinstance(seen, Lease)
        return isinstance(table.call(Take(STANDBY, seen)), Lease)

    wait_until(take, DEADLINE_S)


def status_of_ready(api: Api) -> int:
    return api.get("/ready").status_code


def test_a_region_whose_lease_was_taken_refuses_payments_and_says_when_to_come_back(
    leased: Service, table: Table
) -> None:
    with closing(Api(leased, create_merchant(leased.database))) as api:
        authorized = api.paid(capture=False)
        key = "the-same-key"
        first = api.pay(key, source="tok_same", amount=5)
        take_over(table)
        wait_until(lambda: status_of_ready(api) == 503, DEADLINE_S)
        refused = api.pay()
        assert (503, "not_the_writer") == problem_of(refused)
        assert refused.headers["retry-after"]
        moved = api.post(f"/v1/payments/{authorized['id']}/capture", {})
        assert (503, "not_the_writer") == problem_of(moved)
        # What was answered before is still known, and reading goes on.
        again = api.pay(key, source="tok_same", amount=5)
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert "authorized" == api.payment(authorized["id"])["status"]


def test_a_region_that_was_fenced_in_its_database_is_not_ready(
    leased: Service, database: Database
) -> None:
    with closing(Api(leased, create_merchant(leased.database))) as api:
        api.paid()
        with closing(psycopg.connect(database.admin_url, autocommit=True)) as connection:
            connection.execute("SELECT evertill.raise_epoch(2, %s)", [STANDBY])
        assert (503, "not_the_writer") == problem_of(api.pay())
        wait_until(lambda: status_of_ready(api) == 503, DEADLINE_S)


def test_a_region_that_is_given_the_lease_enters_its_epoch_and_takes_payments(
    leased: Service, table: Table, database: Database
) -> None:
    with closing(Api(leased, create_merchant(leased.database))) as api:
        take_over(table)
        wait_until(lambda: status_of_ready(api) == 503, DEADLINE_S)
        seen = table.call(Look())
        assert isinstance(seen, Lease)
        assert isinstance(table.call(Take(ACTIVE, seen)), Lease)
        wait_until(lambda: status_of_ready(api) == 200, DEADLINE_S)
        wait_until(lambda: database.rows("SELECT epoch FROM authority") == [(3,)], DEADLINE_S)
        api.paid()


def test_a_table_that_is_away_stops_payments_when_the_lease_is_over_and_no_sooner(
    leased: Service, aws: Aws
) -> None:
    with closing(Api(leased, create_merchant(leased.database))) as api:
        with aws.paused():
            api.paid()
            wait_until(lambda: status_of_ready(api) == 503, DEADLINE_S)
            assert (503, "not_the_writer") == problem_of(api.pay())
        wait_until(lambda: status_of_ready(api) == 200, DEADLINE_S)
        api.paid()


def test_a_standby_refuses_payments_at_once_though_its_writers_endpoint_does_not_answer(
    start_service: StartService, database: Database, aws: Aws, table_name: str
) -> None:
    standby = start_service(
        database._replace(service_url=nowhere()),
        until="/health",
        database_reader_url=database.service_url,
        region=STANDBY,
        authority_table=table_name,
        authority_regions=f"{STANDBY},{ACTIVE}",
        aws_endpoint_url=aws.url,
    )
    with closing(Api(standby, create_merchant(database))) as api:
        wait_until(lambda: api.get("/v1/balances").status_code == 200, DEADLINE_S)
        began_s = time.monotonic()
        assert (503, "not_the_writer") == problem_of(api.pay())
        # Far below the deadline of a request, for which it would wait if it asked the database.
        assert time.monotonic() - began_s < AT_ONCE_S

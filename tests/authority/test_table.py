"""The lease in a table that answers as DynamoDB does, and the thread that keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.aws import Aws
from tests.support.service import wait_until

from evertill.authority import lease
from evertill.authority.keeping import Alone, Keeper
from evertill.authority.lease import Found, Lease, Look, Refused, Renew, Take
from evertill.authority.table import LeaseMalformed, LeaseUnreachable, Table

ACTIVE, STANDBY = "us-east-1", "us-east-2"
NOWHERE = "http://127.0.0.1:9"
# Fast enough for a test, and slow enough for a machine that does much else meanwhile.
SPEED = 4.0
DEADLINE_S = 20.0


@pytest.fixture
def table(aws: Aws, table_name: str) -> Table:
    return Table(table_name, [ACTIVE, STANDBY], aws.url)


@contextmanager
def keeping(
    table: Table, region: str, may_found: Callable[[], bool] = lambda: False
) -> Iterator[Keeper]:
    keeper = Keeper(table, region, may_found=may_found, speed=SPEED)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def holds(keeper: Keeper) -> bool:
    return keeper.permit().remaining_s() > 0


def test_a_table_without_a_lease_says_so(table: Table) -> None:
    assert Refused() == table.call(Look())
    assert Refused() == table.call(Renew(ACTIVE, 1))


def test_only_one_region_founds_the_lease(table: Table) -> None:
    assert Lease(ACTIVE, 1, 1) == table.call(Found(ACTIVE))
    assert Refused() == table.call(Found(STANDBY))
    assert Lease(ACTIVE, 1, 1) == table.call(Look())


def test_a_renewal_counts_on_for_the_region_and_epoch_that_hold(table: Table) -> None:
    table.call(Found(ACTIVE))
    assert Lease(ACTIVE, 1, 2) == table.call(Renew(ACTIVE, 1))
    assert Refused() == table.call(Renew(ACTIVE, 2))
    assert Refused() == table.call(Renew(STANDBY, 1))


def test_the_table_does_what_the_pure_protocol_says(table: Table) -> None:
    asks: list[Found | Renew | Take] = [
        Found(ACTIVE),
        Renew(ACTIVE, 1),
        Take(STANDBY, Lease(ACTIVE, 1, 1)),
        Take(STANDBY, Lease(ACTIVE, 1, 2)),
        Renew(ACTIVE, 1),
        Renew(STANDBY, 2),
        Found(STANDBY),
    ]
    held: Lease | None = None
    for ask in asks:
        expected = ask.apply(held)
        assert (expected or Refused()) == table.call(ask)
        held = expected or held
    assert held == table.call(Look())


@pytest.mark.usefixtures("aws")
def test_a_table_that_nobody_answers_for_is_one_clear_failure(table_name: str) -> None:
    with pytest.raises(LeaseUnreachable, match="cannot be reached"):
        Table(table_name, [ACTIVE, STANDBY], NOWHERE).call(Look())


def test_something_else_in_the_table_is_no_lease(table: Table, table_name: str, aws: Aws) -> None:
    item = {"lease": {"S": "write"}, "region": {"S": ACTIVE}}
    aws.client("dynamodb").put_item(TableName=table_name, Item=item)
    with pytest.raises(LeaseMalformed):
        table.call(Look())


def test_the_region_with_the_writable_database_holds_and_the_other_does_not(table: Table) -> None:
    with keeping(table, STANDBY) as standby, keeping(table, ACTIVE, lambda: True) as active:
        wait_until(lambda: holds(active), DEADLINE_S)
        assert 1 == active.permit().epoch
        assert not holds(standby)


def test_a_lease_that_was_taken_over_ends_for_one_region_and_begins_for_the_other(
    table: Table,
) -> None:
    with keeping(table, STANDBY) as standby, keeping(table, ACTIVE, lambda: True) as active:
        wait_until(lambda: holds(active), DEADLINE_S)

        def take() -> bool:
            seen = table.call(Look())
            assert isinstance(seen, Lease)
            return isinstance(table.call(Take(STANDBY, seen)), Lease)

        wait_until(take, DEADLINE_S)
        wait_until(lambda: holds(standby) and not holds(active), DEADLINE_S)
        assert 2 == standby.permit().epoch


def test_a_table_that_hangs_ends_the_leave_to_write_in_time_and_gives_it_back(
    table: Table, aws: Aws
) -> None:
    with keeping(table, ACTIVE, lambda: True) as keeper:
        wait_until(lambda: holds(keeper), DEADLINE_S)
        with aws.paused():
            from_s = time.monotonic()
            wait_until(lambda: not holds(keeper), DEADLINE_S)
            assert time.monotonic() - from_s < lease.DURATION_S / SPEED + 1.0
        wait_until(lambda: holds(keeper), DEADLINE_S)
        assert 1 == keeper.permit().epoch


def test_where_there_is_no_other_region_the_leave_to_write_lasts() -> None:
    assert Alone().permit().remaining_s() > 1e9

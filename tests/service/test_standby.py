"""A region without a writer answers questions from its reader, and refuses what would write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.support.service import (
    Api,
    Merchant,
    Service,
    create_merchant,
    problem_of,
    wait_until,
)
from tests.support.standby import Pair, nowhere, running_pair

StartService = Callable[..., Service]
# What the probe, the pool and a connection may take together.
NOTICED_TIMEOUT_S = 20.0
READY_AGAIN_S = 8.0
UNAVAILABLE = (503, "unavailable")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Give a primary and its standby."""
    with running_pair() as pair:
        yield pair


@pytest.fixture
def merchant(pair: Pair) -> Merchant:
    """Give a merchant that the standby knows."""
    merchant = create_merchant(pair.writer)
    pair.catch_up()
    return merchant


@pytest.fixture
def active(pair: Pair, start_service: StartService) -> Service:
    """Give the active region's service: it has both endpoints."""
    return start_service(pair.writer, database_reader_url=pair.reader.service_url)


@pytest.fixture
def standby(pair: Pair, start_service: StartService) -> Service:
    """Give the standby's service: its writer's endpoint does not answer at all."""
    there = pair.reader._replace(service_url=nowhere())
    return start_service(there, until="/health", database_reader_url=pair.reader.service_url)


def test_a_standby_is_healthy_and_not_ready(standby: Service, merchant: Merchant) -> None:
    api = Api(standby, merchant)
    assert 200 == api.get("/health").status_code
    ready = api.get("/ready")
    assert (503, False) == (ready.status_code, ready.json()["ready"])
    assert "retry-after" in ready.headers
    api.close()


def test_a_standby_answers_every_question_about_payments(
    pair: Pair, active: Service, standby: Service, merchant: Merchant
) -> None:
    here, there = Api(active, merchant), Api(standby, merchant)
    payment = here.paid()
    here.events(1)
    pair.catch_up()
    wait_until(lambda: there.get("/v1/balances").status_code == 200, NOTICED_TIMEOUT_S)
    assert here.payment(payment["id"]) == there.payment(payment["id"])
    there.events(1)
    assert here.state() == there.state()
    here.close()
    there.close()


def test_a_standby_refuses_what_would_write_and_says_when_to_come_back(
    standby: Service, merchant: Merchant
) -> None:
    api = Api(standby, merchant)
    wait_until(lambda: api.get("/v1/balances").status_code == 200, NOTICED_TIMEOUT_S)
    for answer in (api.pay(), api.post("/v1/payments/pay_0198c0de000070008000000000000001/cancel")):
        assert UNAVAILABLE == problem_of(answer)
        assert int(answer.headers["retry-after"]) > 0
    api.close()


def test_a_standby_never_says_that_a_payment_does_not_exist(
    pair: Pair, active: Service, standby: Service, merchant: Merchant
) -> None:
    here, there = Api(active, merchant), Api(standby, merchant)
    wait_until(lambda: there.get("/v1/balances").status_code == 200, NOTICED_TIMEOUT_S)
    # A standby that has received nothing for a while is what a reader that is behind looks like.
    pair.reader.rows("SELECT pg_wal_replay_pause()")
    payment = here.paid()
    unseen = there.get(f"/v1/payments/{payment['id']}")
    assert UNAVAILABLE == problem_of(unseen)
    pair.reader.rows("SELECT pg_wal_replay_resume()")
    pair.catch_up()
    assert payment["id"] == there.payment(payment["id"])["id"]
    here.close()
    there.close()


def test_a_wrong_key_is_a_wrong_key_in_a_standby_too(standby: Service, merchant: Merchant) -> None:
    api = Api(standby, merchant._replace(key="sk_wrong"))
    wait_until(lambda: api.get("/v1/balances").status_code == 401, NOTICED_TIMEOUT_S)
    api.close()


def test_whoever_has_paid_reads_what_he_wrote_however_far_the_reader_is_behind(
    pair: Pair, active: Service, merchant: Merchant
) -> None:
    api = Api(active, merchant)
    pair.reader.rows("SELECT pg_wal_replay_pause()")
    payment = api.paid()
    assert payment["id"] == api.payment(payment["id"])["id"]
    assert payment["amount"] - payment["fee"] == api.balances()["USD"]["merchant_pending"]
    pair.reader.rows("SELECT pg_wal_replay_resume()")
    missing = api.get("/v1/payments/pay_0198c0de000070008000000000000001")
    assert (404, "not_found") == problem_of(missing)
    api.close()


@pytest.mark.slow
def test_questions_go_on_while_the_writer_is_away_and_it_is_noticed_when_it_is_back(
    pair: Pair, active: Service, merchant: Merchant
) -> None:
    api = Api(active, merchant)
    payment = api.paid()
    pair.catch_up()
    pair.primary.stop()
    try:
        wait_until(lambda: api.get("/v1/balances").status_code == 200, NOTICED_TIMEOUT_S)
        assert payment["id"] == api.payment(payment["id"])["id"]
        wait_until(lambda: api.get("/ready").status_code == 503, NOTICED_TIMEOUT_S)
        # Longer than the pool's pauses have had time to grow: it must not sleep through the return.
        away_until_s = time.monotonic() + 16
        wait_until(lambda: time.monotonic() > away_until_s, NOTICED_TIMEOUT_S)
        assert payment["id"] == api.payment(payment["id"])["id"]
    finally:
        port = pair.primary.port
        pair.primary.start()
    assert port == pair.primary.port
    wait_until(lambda: api.get("/ready").status_code == 200, READY_AGAIN_S)
    api.paid()
    api.close()

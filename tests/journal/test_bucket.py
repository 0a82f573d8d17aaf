"""The service writes its log to S3, goes on while S3 is slow or away, and catches up afterwards."""

from __future__ import annotations

import re
import time

import httpx
from tests.conftest import StartService
from tests.support.aws import Aws
from tests.support.postgres import Database
from tests.support.service import START_TIMEOUT_S, Api, Service, create_merchant, wait_until

from evertill.journal.stores import BucketStore
from evertill.journal.verify import Report, verify

BATCHES = r'evertill_outbox_batches{receiver="log"}'
OLDEST = r'evertill_outbox_oldest_seconds{receiver="log"}'
WAITING = "SELECT count(*) FROM outbox"
# Far below the timeouts of the SDK: a payment that waited for S3 would show.
PAYMENT_TIME_MAX_S = 1.5
BACKLOG_TIMEOUT_S = 20.0


def start(database: Database, start_service: StartService, aws: Aws) -> Service:
    """Start two workers that log to the emulator."""
    return start_service(database, workers=2, log_bucket="journal", aws_endpoint_url=aws.url)


def drained(database: Database, aws: Aws) -> Report:
    """Wait until nothing waits any more, and verify the log."""
    wait_until(lambda: database.rows(WAITING) == [(0,)], START_TIMEOUT_S)
    return verify(BucketStore("journal", aws.url))


def figure(service: Service, name: str) -> float:
    """Read one figure of /metrics."""
    found = re.search(
        rf"^{re.escape(name)} (\S+)$", httpx.get(f"{service.url}/metrics").text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def pay(api: Api, count: int) -> float:
    """Take payments and return how long the slowest took, in seconds."""
    slowest_s = 0.0
    for _ in range(count):
        began_s = time.monotonic()
        api.paid()
        slowest_s = max(slowest_s, time.monotonic() - began_s)
    return slowest_s


def test_payments_and_their_moves_are_logged_to_the_bucket(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    service = start(database, start_service, aws)
    api = Api(service, create_merchant(database))
    payment = api.paid(capture=False)
    api.post(f"/v1/payments/{payment['id']}/capture")
    report = drained(database, aws)
    assert ([], 2) == (report.breaks, report.records)
    assert 2 == figure(service, "evertill_log_records_total")
    api.close()


def test_while_the_bucket_is_away_payments_go_on_and_the_backlog_shows_and_drains(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    service = start(database, start_service, aws)
    api = Api(service, create_merchant(database))
    pay(api, 5)
    drained(database, aws)
    aws.stop()
    assert pay(api, 30) < PAYMENT_TIME_MAX_S
    wait_until(lambda: figure(service, BATCHES) > 0, BACKLOG_TIMEOUT_S)
    wait_until(lambda: figure(service, OLDEST) > 0, BACKLOG_TIMEOUT_S)
    aws.start()
    report = drained(database, aws)
    assert ([], 35) == (report.breaks, report.records - report.repeated)
    wait_until(lambda: figure(service, BATCHES) == 0, BACKLOG_TIMEOUT_S)
    api.close()


def test_while_the_bucket_answers_nothing_payments_go_on_at_their_speed(
    database: Database, start_service: StartService, aws: Aws
) -> None:
    service = start(database, start_service, aws)
    api = Api(service, create_merchant(database))
    pay(api, 5)
    with aws.paused():
        assert pay(api, 30) < PAYMENT_TIME_MAX_S
        assert database.rows(WAITING) > [(0,)]
    report = drained(database, aws)
    assert ([], 35) == (report.breaks, report.records - report.repeated)
    api.close()

"""Where decisions are kept: the writer, the transaction log, and what happens when one is away."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from tests.support.aws import CREDENTIALS
from tests.support.postgres import Database, Server
from tests.support.service import create_merchant, new_source, wait_until
from tests.validation.conftest import (
    BUCKET,
    REGION,
    Deploy,
    Parts,
    Place,
    direct,
    login,
    payment,
    records,
)

from evertill.domain.rules import MerchantTerms
from evertill.journal.export import export
from evertill.journal.stores import BucketStore
from evertill.journal.verify import verify

KEY = re.compile(r"us-east-1/\d{4}/\d\d/\d\d/\d\d/[0-9a-f]{32}-\d{8}\.ndjson\.gz")
RECOVERY_TIMEOUT_S = 30.0
DAYS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


def kept(database: Database) -> int:
    """Return how many decisions are stored."""
    return int(database.rows("SELECT count(*) FROM validations")[0][0])


@contextmanager
def silence() -> Iterator[str]:
    """Give an address that takes connections and never says a word, as a standby's writer does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_decision_stands_in_the_log_with_what_was_decided(place: Place) -> None:
    event = payment(source="tok_log", amount="0")
    assert 400 == place.direct(**event)[0]
    (record,) = [
        r for r in place.records() if r["data"]["payment_reference"] == event["payment_id"]
    ]
    assert "validation.decided" == record["type"]
    assert record["payment_id"] == record["data"]["id"]
    assert "amount_not_positive" == record["data"]["decline"]["code"]
    assert not record["data"]["read_only"]


def test_records_of_an_execution_environment_are_one_chain(
    database: Database, deploy: Deploy, parts: Parts
) -> None:
    function = deploy(database)
    events = [payment() for _ in range(3)]
    for event in events:
        direct(function, event)
    mine = {event["payment_id"] for event in events}
    found = [(m, r) for m, r in records(parts.aws) if r["data"]["payment_reference"] in mine]
    assert [1, 2, 3] == [record["n"] for _, record in found]
    assert 1 == len({manifest["chain"] for manifest, _ in found})
    manifest = found[0][0]
    name = f"evertill log 1\n{manifest['region']}\n{manifest['chain']}\nalone".encode()
    previous = hashlib.sha256(name).hexdigest()
    for sequence, (manifest, record) in enumerate(found):
        assert KEY.fullmatch(manifest["key"])
        assert (sequence, previous, previous) == (
            manifest["sequence"],
            manifest["previous"],
            record["prev"],
        )
        line = json.dumps(record, separators=(",", ":")).encode()
        previous = hashlib.sha256(line).hexdigest()
        assert (previous, previous) == (manifest["first"], manifest["last"])


def test_the_journals_commands_prove_and_export_what_the_function_logs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    event = payment(amount="-5", reference=new_source())
    place.direct(**event)
    store = BucketStore(BUCKET, place.parts.aws.url, REGION)
    report = verify(store)
    assert report.whole, report.breaks
    # Copies of the function come and go: that one's chain ends is nothing to reconcile.
    assert (report.chains, []) == (report.alone, report.tails)
    table = io.StringIO()
    export(store, table, *DAYS)
    rows = csv.DictReader(table.getvalue().splitlines())
    [row] = [row for row in rows if row["reference"] == event["reference"]]
    assert ("-1", "USD", "amount_not_positive") == (
        row["amount_minor"],
        row["currency"],
        row["decline_code"],
    )


def test_histories_are_read_from_the_reader_and_decisions_stored_by_the_writer(
    database: Database, postgres: Server, deploy: Deploy
) -> None:
    with postgres.fresh_database() as other:
        merchant = create_merchant(other, MerchantTerms(amount_limits_minor={"USD": 1}))
        function = deploy(database, EVERTILL_DATABASE_READER_URL=login(other))
        event = payment(merchant=merchant.name, source=new_source())
        assert "amount_over_limit" == direct(function, event)[1]["code"]
        assert (0, 1) == (kept(other), kept(database))


def test_a_region_whose_writer_does_not_answer_says_read_only_and_logs(
    database: Database, deploy: Deploy, parts: Parts
) -> None:
    with silence() as address:
        url = f"postgresql://nobody:nothing@{address}/evertill?sslmode=disable"
        function = deploy(
            database, EVERTILL_DATABASE_URL=url, EVERTILL_DATABASE_READER_URL=login(database)
        )
        event = payment()
        status, body = direct(function, event)
        assert (200, True, True) == (status, body["valid"], body["read_only"])
        # The next one does not wait for it again.
        assert direct(function, payment())[1]["read_only"]
    assert 0 == kept(database)
    logged = [record["data"] for _, record in records(parts.aws)]
    assert [True] == [
        data["read_only"] for data in logged if data["payment_reference"] == event["payment_id"]
    ]


def test_a_database_that_takes_no_writes_is_read_only_until_it_does(
    database: Database, postgres: Server, deploy: Deploy
) -> None:
    function = deploy(database)
    setting = f"ALTER DATABASE {database.name} {{}} default_transaction_read_only"
    elsewhere = postgres.database("postgres")
    elsewhere.rows(setting.format("SET") + " = on")
    assert direct(function, payment())[1]["read_only"]
    elsewhere.rows(setting.format("RESET"))
    wait_until(lambda: not direct(function, payment())[1]["read_only"], RECOVERY_TIMEOUT_S)
    assert 1 == kept(database)


def test_connections_are_kept_and_a_lost_one_is_made_anew_unnoticed(
    database: Database, deploy: Deploy
) -> None:
    function = deploy(database)
    mine = (
        "FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'evertill-validation'"
    )
    direct(function, payment())
    first = database.rows(f"SELECT pid {mine} ORDER BY pid")
    direct(function, payment())
    assert first == database.rows(f"SELECT pid {mine} ORDER BY pid")
    assert [(True,)] == database.rows(f"SELECT pg_terminate_backend(pid, 5000) {mine}")
    assert not direct(function, payment())[1]["read_only"]
    assert 3 == kept(database)


def test_a_log_that_cannot_be_written_stops_no_decision_that_is_stored(
    database: Database, deploy: Deploy
) -> None:
    with silence() as address:
        function = deploy(database, AWS_ENDPOINT_URL_S3=f"http://{address}")
        assert 200 == direct(function, payment())[0]
    assert 1 == kept(database)
    assert "the decision is not in the log" in function.output()


def test_a_decision_that_nothing_can_keep_is_an_internal_error_without_a_cause(
    database: Database, deploy: Deploy
) -> None:
    with silence() as address:
        url = f"postgresql://nobody:nothing@{address}/evertill?sslmode=disable"
        function = deploy(
            database, EVERTILL_DATABASE_URL=url, AWS_ENDPOINT_URL_S3=f"http://{address}"
        )
        answer = function.invoke(payment())
    body = json.loads(answer.payload["body"])
    assert (500, "Internal error") == (answer.payload["statusCode"], body["reason"])
    assert answer.request_id == body["correlation_id"]
    assert {"valid", "payment_id", "reason", "code", "correlation_id"} == set(body)


def test_an_unknown_failure_is_told_by_a_correlation_id_alone(
    database: Database, deploy: Deploy
) -> None:
    database.rows("DROP FUNCTION record_validation")
    function = deploy(database)
    answer = function.invoke(payment())
    body = json.loads(answer.payload["body"])
    assert (500, "internal_error") == (answer.payload["statusCode"], body["code"])
    assert "record_validation" not in answer.payload["body"]
    assert answer.request_id in function.output()
    assert "record_validation" in function.output()


def test_the_log_is_in_the_bucket_that_was_named(parts: Parts) -> None:
    assert BUCKET in {b["Name"] for b in parts.aws.client("s3").list_buckets()["Buckets"]}

"""What operators rely on: health, readiness, shedding, metrics and logs that hold no secrets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.conftest import StartService
from tests.support.postgres import Database
from tests.support.service import (
    Api,
    Merchant,
    Service,
    create_merchant,
    new_key,
    new_payment,
    new_source,
    problem_of,
    wait_until,
)

from evertill.domain.rules import MerchantTerms

OpenApi = Callable[[Service, Merchant], Api]

LOGS_TIMEOUT_S = 5.0
FAMILIES = {
    "evertill_http_request_seconds_bucket",
    "evertill_payments_committed_total",
    "evertill_commit_batch_size_bucket",
    "evertill_commit_seconds_bucket",
    "evertill_payments_queued",
    "evertill_http_connections",
    "evertill_pool_connections",
    "evertill_pool_waiting",
    "evertill_ready",
}


@pytest.fixture
def open_api() -> Iterator[OpenApi]:
    """Give a function that makes a client, which is closed afterwards."""
    with ExitStack() as opened:

        def open_one(service: Service, merchant: Merchant) -> Api:
            api = Api(service, merchant)
            opened.callback(api.close)
            return api

        yield open_one


@pytest.fixture
def unreachable() -> Database:
    """Give a database where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://nobody:nothing@127.0.0.1:{port}/nothing"
    return Database("nothing", url, url)


def test_health_and_readiness_are_answered_without_a_key(shared_service: Service) -> None:
    health = httpx.get(f"{shared_service.url}/health")
    ready = httpx.get(f"{shared_service.url}/ready")
    assert (200, {"status": "ok"}) == (health.status_code, health.json())
    assert (200, {"ready": True, "reason": None}) == (ready.status_code, ready.json())


def test_a_service_without_its_database_is_healthy_and_not_ready(
    unreachable: Database, start_service: StartService
) -> None:
    service = start_service(unreachable, until="/health")
    ready = httpx.get(f"{service.url}/ready")
    assert (503, False) == (ready.status_code, ready.json()["ready"])
    assert ready.json()["reason"]
    assert int(ready.headers["retry-after"]) > 0


def test_a_service_without_its_database_answers_503_in_time(
    unreachable: Database, start_service: StartService, open_api: OpenApi
) -> None:
    service = start_service(unreachable, until="/health")
    api = open_api(service, Merchant(1, "nobody", "sk_unknown"))
    for answer in (api.pay(), api.get("/v1/payments")):
        assert (503, "unavailable") == problem_of(answer)
        assert int(answer.headers["retry-after"]) > 0
        assert answer.elapsed.total_seconds() < 6


def test_a_merchant_over_its_rate_gets_a_429_with_a_time_to_come_back(
    shared_service: Service, open_api: OpenApi
) -> None:
    terms = MerchantTerms(payments_per_s_max=1)
    api = open_api(shared_service, create_merchant(shared_service.database, terms))
    answers = [api.pay() for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 201 == answers[0].status_code
    assert [] != refused
    assert (429, "rate_limited") == problem_of(refused[0])
    assert "1" == refused[0].headers["retry-after"]
    assert len(answers) - len(refused) == len(api.all_of("/v1/payments"))
    wait_until(lambda: api.pay().status_code == 201, LOGS_TIMEOUT_S)


def test_a_batch_is_possible_at_any_rate(shared_service: Service, open_api: OpenApi) -> None:
    terms = MerchantTerms(payments_per_s_max=1)
    api = open_api(shared_service, create_merchant(shared_service.database, terms))
    items = [new_payment(idempotency_key=new_key()) for _ in range(10)]
    assert 200 == api.post("/v1/payments/batch", {"payments": items}).status_code


def test_readiness_and_reads_are_not_rate_limited(
    shared_service: Service, open_api: OpenApi
) -> None:
    terms = MerchantTerms(payments_per_s_max=1)
    api = open_api(shared_service, create_merchant(shared_service.database, terms))
    paths = ["/ready", "/v1/balances", "/v1/payments"] * 10
    assert {200} == {api.get(path).status_code for path in paths}


def test_metrics_hold_the_promised_families_and_count_payments(
    database: Database, start_service: StartService, open_api: OpenApi
) -> None:
    service = start_service(database, workers=2)
    api = open_api(service, create_merchant(database))
    for _ in range(5):
        api.paid()
    answer = api.get("/metrics")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert set() == FAMILIES - {line.partition(" ")[0].partition("{")[0] for line in lines}
    assert "evertill_payments_committed_total 5.0" in lines


def test_logs_are_json_and_tie_a_request_to_its_payment(
    service: Service, open_api: OpenApi
) -> None:
    api = open_api(service, create_merchant(service.database))
    answer = api.pay()
    wanted = answer.headers["x-request-id"]
    wait_until(
        lambda: any(entry.get("request_id") == wanted for entry in service.entries()),
        LOGS_TIMEOUT_S,
    )
    (entry,) = [entry for entry in service.entries() if entry.get("request_id") == wanted]
    assert ("POST", "/v1/payments", 201) == (entry["method"], entry["route"], entry["status"])
    assert answer.json()["id"].endswith(entry["payment_id"])


def test_logs_never_hold_a_key_a_source_or_a_card_like_number(
    service: Service, open_api: OpenApi
) -> None:
    api = open_api(service, create_merchant(service.database))
    source, card, reference = new_source(), "4111111111111111", "1234567890123"
    payment = api.paid(source=source, reference=reference)
    api.pay(source=source, description=card)
    api.get(f"/v1/payments/{card}")
    api.get(f"/v1/payments?cursor={card}&source={source}")
    api.post(f"/v1/payments/{payment['id']}/refunds", {"reference": reference})
    last = api.post("/v1/payments", content=f'{{"source":"{source}","{card}"'.encode())
    wanted = last.headers["x-request-id"]
    wait_until(
        lambda: any(entry.get("request_id") == wanted for entry in service.entries()),
        LOGS_TIMEOUT_S,
    )
    text = Path(service.log).read_text()
    assert [] == [word for word in (api.merchant.key, source, card, reference) if word in text]


def test_every_answer_names_its_request(api: Api) -> None:
    answers = [api.get("/v1/balances"), api.get("/nothing"), api.pay(), api.get("/docs")]
    assert len(answers) == len({answer.headers["x-request-id"] for answer in answers})
    assert all(answer.headers["x-request-id"].startswith("req_") for answer in answers)


def test_a_service_whose_connections_were_cut_goes_on(service: Service, open_api: OpenApi) -> None:
    api = open_api(service, create_merchant(service.database))
    payment = api.paid(capture=False)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'evertill'"
    )
    paths: list[tuple[str, str, int]] = [
        ("GET", f"/v1/payments/{payment['id']}", 200),
        ("POST", "/v1/payments", 201),
        ("POST", f"/v1/payments/{payment['id']}/capture", 200),
        ("GET", "/v1/balances", 200),
    ]
    for method, path, status in paths:
        assert [] != service.database.rows(cut)
        body = new_payment() if path == "/v1/payments" else None
        answer = api.get(path) if method == "GET" else api.post(path, body)
        assert status == answer.status_code, answer.text

"""Merchants are told of events by signed webhooks, again and again until they have them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tests.conftest import StartService
from tests.support.postgres import Database
from tests.support.receiver import Receiver, running_receiver
from tests.support.service import Api, Json, Service, create_merchant, problem_of, wait_until

TIMEOUT_S = 30.0
DUE_NOW = "UPDATE webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL"
LEFT = "SELECT count(*) FROM webhook_deliveries"
FAILED = "SELECT error FROM webhook_deliveries WHERE error NOTNULL"
UNPAUSED = "UPDATE webhook_endpoints SET paused_until = '-infinity', failures = 0"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a merchant's server."""
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def service(database: Database, start_service: StartService) -> Service:
    """Give a service that may send to this machine."""
    return start_service(database, webhooks_private=True)


@pytest.fixture
def api(service: Service, database: Database) -> Iterator[Api]:
    """Give a client of it."""
    api = Api(service, create_merchant(database))
    yield api
    api.close()


def subscribe(api: Api, url: str, **fields: object) -> Json:
    """Create an endpoint; return its id and its secret."""
    answer = api.post("/v1/webhooks", {"url": url, **fields}, "")
    assert 201 == answer.status_code, answer.text
    created: Json = answer.json()
    return created


def try_again(database: Database) -> None:
    """Let the time of all retries come."""
    database.rows(UNPAUSED)
    database.rows(DUE_NOW)


def test_an_event_is_delivered_and_verified_by_the_reference_library(
    api: Api, receiver: Receiver
) -> None:
    secret = subscribe(api, receiver.url)["secret"]
    payment = api.paid()
    wait_until(lambda: len(receiver.received) == 1, TIMEOUT_S)
    [got] = receiver.received
    told = Webhook(secret).verify(got.body, got.headers)
    assert ("payment.captured", payment) == (told["type"], told["data"])
    assert api.events(1)[0]["id"] == got.headers["webhook-id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(got.body.replace(b"1099", b"1098"), got.headers)


def test_during_a_rotation_both_secrets_verify(api: Api, receiver: Receiver) -> None:
    created = subscribe(api, receiver.url)
    rotated = api.post(f"/v1/webhooks/{created['id']}/secret", None, "").json()
    assert created["secret"] != rotated["secret"]
    api.paid()
    wait_until(lambda: len(receiver.received) == 1, TIMEOUT_S)
    [got] = receiver.received
    for secret in (created["secret"], rotated["secret"]):
        Webhook(secret).verify(got.body, got.headers)


def test_only_the_types_that_are_wanted_are_told(api: Api, receiver: Receiver) -> None:
    subscribe(api, receiver.url, types=["payment.canceled"])
    payment = api.paid(capture=False)
    api.post(f"/v1/payments/{payment['id']}/cancel")
    wait_until(lambda: len(receiver.received) == 1, TIMEOUT_S)
    assert "payment.canceled" == json.loads(receiver.received[0].body)["type"]


def test_a_failure_is_tried_again_under_the_same_id(
    api: Api, receiver: Receiver, database: Database
) -> None:
    subscribe(api, receiver.url)
    receiver.status = 500
    api.paid()
    wait_until(lambda: database.rows(FAILED) != [], TIMEOUT_S)
    receiver.status = 204
    try_again(database)
    wait_until(lambda: database.rows(LEFT) == [(0,)], TIMEOUT_S)
    first, *later = receiver.received
    assert {first.headers["webhook-id"]} == {got.headers["webhook-id"] for got in later}


def test_an_endpoint_that_is_gone_is_disabled_until_it_is_enabled_again(
    api: Api, receiver: Receiver
) -> None:
    path = f"/v1/webhooks/{subscribe(api, receiver.url)['id']}"
    receiver.status = 410
    api.paid()
    wait_until(lambda: api.get(path).json()["status"] == "disabled", TIMEOUT_S)
    assert "gone" == api.get(path).json()["disabled_reason"]
    [letter] = api.get(f"{path}/dead-letters").json()["data"]
    assert "it answered 410" == letter["error"]
    receiver.status = 200
    assert "enabled" == api.post(f"{path}/enable", None, "").json()["status"]
    again = api.post(f"{path}/redeliveries", {"event_id": letter["event_id"]}, "")
    assert 202 == again.status_code
    wait_until(lambda: len(receiver.received) == 2, TIMEOUT_S)
    wait_until(lambda: api.get(f"{path}/dead-letters").json()["data"] == [], TIMEOUT_S)


def test_an_event_that_was_delivered_is_delivered_again_when_asked_for(
    api: Api, receiver: Receiver
) -> None:
    path = f"/v1/webhooks/{subscribe(api, receiver.url)['id']}"
    api.paid()
    wait_until(lambda: len(receiver.received) == 1, TIMEOUT_S)
    event_id = receiver.received[0].headers["webhook-id"]
    api.post(f"{path}/redeliveries", {"event_id": event_id}, "")
    wait_until(lambda: len(receiver.received) == 2, TIMEOUT_S)
    assert event_id == receiver.received[1].headers["webhook-id"]


def test_an_endpoint_that_never_answers_delays_neither_another_nor_payments(
    api: Api, receiver: Receiver
) -> None:
    with running_receiver() as dead:
        dead.answering.clear()
        subscribe(api, dead.url)
        subscribe(api, receiver.url)
        for _ in range(30):
            api.paid()
        wait_until(lambda: len(receiver.received) == 30, 10)
        assert len(dead.received) <= 8


def test_a_worker_that_dies_while_it_sends_costs_a_repetition_and_no_event(
    service: Service, api: Api, receiver: Receiver, database: Database
) -> None:
    subscribe(api, receiver.url)
    receiver.answering.clear()
    api.paid()
    wait_until(lambda: len(receiver.received) == 1, TIMEOUT_S)
    victim = service.processes.pop()
    victim.kill()
    victim.wait()
    receiver.answering.set()
    service.start_worker()
    # The claim of the dead one lasts a minute.
    database.rows(DUE_NOW)
    wait_until(lambda: database.rows(LEFT) == [(0,)], TIMEOUT_S)
    [first, again] = receiver.received
    assert first.headers["webhook-id"] == again.headers["webhook-id"]


def test_while_an_endpoint_asks_for_patience_none_of_its_events_is_sent(
    api: Api, receiver: Receiver, database: Database
) -> None:
    subscribe(api, receiver.url)
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    api.paid()
    wait_until(lambda: database.rows(FAILED) == [("it answered 429",)], TIMEOUT_S)
    [(patience_s,)] = database.rows(
        "SELECT extract(epoch FROM paused_until - now())::integer FROM webhook_endpoints"
    )
    assert 500 < patience_s <= 600
    [(later_s,)] = database.rows(
        "SELECT extract(epoch FROM due_at - now())::integer FROM webhook_deliveries"
    )
    assert 500 < later_s <= 600


def test_a_redirect_is_not_followed(api: Api, receiver: Receiver, database: Database) -> None:
    with running_receiver() as elsewhere:
        subscribe(api, receiver.url)
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        api.paid()
        wait_until(lambda: database.rows(FAILED) == [("it answered 307",)], TIMEOUT_S)
        assert [] == elsewhere.received


def test_after_the_last_attempt_an_event_is_a_dead_letter(
    api: Api, receiver: Receiver, database: Database
) -> None:
    path = f"/v1/webhooks/{subscribe(api, receiver.url)['id']}"
    receiver.status = 500
    api.paid()
    wait_until(lambda: database.rows(FAILED) != [], TIMEOUT_S)
    database.rows("UPDATE webhook_deliveries SET attempts = 9")
    try_again(database)
    wait_until(lambda: len(api.get(f"{path}/dead-letters").json()["data"]) == 1, TIMEOUT_S)


def test_a_merchant_sees_no_other_merchants_endpoint(
    api: Api, receiver: Receiver, database: Database
) -> None:
    path = f"/v1/webhooks/{subscribe(api, receiver.url)['id']}"
    other = api.sibling(create_merchant(database))
    assert [] == other.get("/v1/webhooks").json()["data"]
    assert (404, "not_found") == problem_of(other.get(path))
    assert (404, "not_found") == problem_of(other.post(f"{path}/secret", None, ""))
    assert (404, "not_found") == problem_of(other.http.delete(path))
    assert 200 == api.http.delete(path).status_code
    assert (404, "not_found") == problem_of(api.get(path))


def test_a_private_address_is_refused_when_it_is_told_and_when_it_is_resolved(
    database: Database, start_service: StartService, receiver: Receiver
) -> None:
    service = start_service(database)
    api = Api(service, create_merchant(database))
    answer = api.post("/v1/webhooks", {"url": receiver.url}, "")
    assert (422, "invalid_request") == problem_of(answer)
    # A name is only resolved when something is sent: this one is public in its form.
    subscribe(api, f"https://localhost:{receiver.url.split(':')[2]}")
    api.paid()
    wait_until(lambda: database.rows(FAILED) != [], TIMEOUT_S)
    assert [("The host's address is not a public one.",)] == database.rows(FAILED)
    assert [] == receiver.received
    api.close()

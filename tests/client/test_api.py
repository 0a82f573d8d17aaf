"""The HTTP client: what it sends again, what it gives up on, and what it says then."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import msgspec
import pytest

from evertill.client.api import Client
from evertill.client.faults import Refused, ServiceUnknown, ServiceUnreachable, Stopped
from evertill.client.retries import Patience
from evertill.client.wire import BatchItem, NewPayment
from evertill.domain.errors import IdempotencyKeyInvalid, OutcomeUnknown

PAYMENT = NewPayment(amount=1099, currency="USD", source="tok_1")
SHORT = Patience(attempts_max=3, total_s=5.0)


def item(key: str, source: str = "tok_1", amount: int = 1099) -> bytes:
    return msgspec.json.encode(
        BatchItem(amount=amount, currency="USD", source=source, idempotency_key=key)
    )


def client_of(stand_in: Any, patience: Patience = SHORT) -> Client:
    return Client(stand_in.url, stand_in.key, patience=patience)


def test_a_payment_is_taken(stand_in: Any) -> None:
    with client_of(stand_in) as client:
        taken = client.create_payment(PAYMENT, "key-1")
    assert (taken.payment.status, taken.replayed) == ("captured", False)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "503", "504", "429"])
def test_a_payment_is_sent_again_under_its_key_and_taken_once(stand_in: Any, fault: str) -> None:
    stand_in.faults.extend([fault])
    with client_of(stand_in) as client:
        taken = client.create_payment(PAYMENT, "key-1")
    assert fault == "drop_after" or not taken.replayed
    assert (stand_in.calls, list(stand_in.answers)) == (2, ["key-1"])


def test_retry_after_is_waited_for(stand_in: Any) -> None:
    stand_in.faults.append("503")
    stand_in.retry_after = "1"
    began_s = time.monotonic()
    with client_of(stand_in) as client:
        client.create_payment(PAYMENT, "key-1")
    assert time.monotonic() - began_s >= 1


def test_a_retry_after_beyond_the_patience_is_not_waited_for(stand_in: Any) -> None:
    stand_in.faults.append("503")
    stand_in.retry_after = "3600"
    began_s = time.monotonic()
    with client_of(stand_in) as client, pytest.raises(Refused, match="unavailable"):
        client.create_payment(PAYMENT, "key-1")
    assert time.monotonic() - began_s < 2


def test_a_spent_patience_after_an_open_outcome_is_unknown(stand_in: Any) -> None:
    stand_in.faults.extend(["drop_after", "503", "503", "503"])
    with client_of(stand_in) as client, pytest.raises(OutcomeUnknown, match="same idempotency key"):
        client.create_payment(PAYMENT, "key-1")


def test_a_definite_refusal_is_not_sent_again_and_names_its_code(stand_in: Any) -> None:
    stand_in.faults.append("422")
    with client_of(stand_in) as client, pytest.raises(Refused) as caught:
        client.create_payment(PAYMENT, "key-1")
    assert (
        caught.value.fields["status"],
        caught.value.fields["problem_code"],
    ) == (422, "invalid_request")
    assert stand_in.calls == 1


def test_a_wrong_key_is_told_in_one_sentence(stand_in: Any) -> None:
    with Client(stand_in.url, "wrong") as client, pytest.raises(Refused, match="API key"):
        client.create_payment(PAYMENT, "key-1")


def test_nothing_at_the_address_is_told_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    began_s = time.monotonic()
    with Client(url, "key") as client, pytest.raises(ServiceUnreachable, match="make up"):
        client.create_payment(PAYMENT, "key-1")
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ServiceUnknown, match="--url"):
        Client(url, "key")


def test_an_idempotency_key_that_is_none_is_refused(stand_in: Any) -> None:
    with client_of(stand_in) as client, pytest.raises(IdempotencyKeyInvalid):
        client.create_payment(PAYMENT, "clé")


@pytest.mark.parametrize("fault", ["key_in_flight", "outcome_unknown", "unavailable"])
def test_an_unsettled_payment_of_a_batch_is_sent_again_alone(stand_in: Any, fault: str) -> None:
    stand_in.faults.append(fault)
    with client_of(stand_in) as client:
        results = client.send_batch([item("a"), item("b")])
    assert [result.status for result in results] == [201, 201]
    assert [result.replayed for result in results] == [False, False]
    assert (2, {"a", "b"}) == (stand_in.calls, set(stand_in.answers))


def test_a_refused_batch_is_halved_until_the_bad_payment_stands_alone(stand_in: Any) -> None:
    stand_in.poison = "tok_bad"
    items = [item(str(n), "tok_bad" if n in {3, 77} else "tok_1") for n in range(100)]
    with client_of(stand_in) as client:
        results = client.send_batch(items)
    assert {3, 77} == {n for n, result in enumerate(results) if result.status != 201}
    assert len(stand_in.answers) == 98


def test_stopping_ends_a_pause_at_once(stand_in: Any) -> None:
    stand_in.faults.append("503")
    stand_in.retry_after = "60"
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    patience = Patience(attempts_max=3, total_s=100)
    began_s = time.monotonic()
    with (
        Client(stand_in.url, stand_in.key, patience=patience, stop=stop) as client,
        pytest.raises(Stopped),
    ):
        client.create_payment(PAYMENT, "key-1")
    assert time.monotonic() - began_s < 5

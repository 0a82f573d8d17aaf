"""Lists, balances and batches: whole, in order, and one merchant's alone."""

from __future__ import annotations

import pytest
from tests.support.service import Api, create_merchant, new_key, new_payment, problem_of


def test_a_list_is_whole_and_newest_first_whatever_the_page_size(api: Api) -> None:
    taken = [api.paid()["id"] for _ in range(7)]
    for limit in (1, 2, 3, 7, 100):
        assert taken[::-1] == [row["id"] for row in api.all_of("/v1/payments", limit)]


def test_a_page_has_20_rows_unless_more_are_asked_for(api: Api) -> None:
    items = [new_payment(idempotency_key=new_key()) for _ in range(25)]
    api.post("/v1/payments/batch", {"payments": items})
    page = api.get("/v1/payments").json()
    assert (20, False) == (len(page["data"]), page["next_cursor"] is None)
    assert 25 == len(api.get("/v1/payments", params={"limit": "100"}).json()["data"])


def test_payments_that_arrive_meanwhile_do_not_move_a_list(api: Api) -> None:
    taken = [api.paid()["id"] for _ in range(4)]
    first = api.get("/v1/payments", params={"limit": "2"}).json()
    api.paid()
    second = api.get("/v1/payments", params={"limit": "2", "cursor": first["next_cursor"]}).json()
    assert taken[::-1] == [row["id"] for row in first["data"] + second["data"]]
    assert second["next_cursor"] is None


def test_an_empty_list_is_no_error(api: Api) -> None:
    assert {"data": [], "next_cursor": None} == api.get("/v1/payments").json()
    assert [] == api.get("/v1/events").json()["data"]
    assert {"data": []} == api.get("/v1/balances").json()


def test_events_tell_the_story_of_a_payment_in_order(api: Api) -> None:
    payment = api.paid(capture=False)
    api.post(f"/v1/payments/{payment['id']}/capture", {"amount": 500})
    api.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 200})
    api.post(f"/v1/payments/{payment['id']}/refunds")
    events = api.events(4)
    assert [
        "payment.authorized",
        "payment.captured",
        "payment.refunded",
        "payment.refunded",
    ] == [event["type"] for event in events]
    assert {payment["id"]} == {event["payment_id"] for event in events}
    assert payment == events[0]["data"]
    assert [200, 300] == [event["data"]["amount"] for event in events[2:]]


def test_events_go_on_behind_a_cursor_that_was_kept(api: Api) -> None:
    for _ in range(3):
        api.paid()
    api.events(3)
    cursor = api.get("/v1/events").json()["next_cursor"]
    nothing = api.get("/v1/events", params={"cursor": cursor}).json()
    assert {"data": [], "next_cursor": cursor} == nothing
    later = api.paid()
    api.events(4)
    page = api.get("/v1/events", params={"cursor": cursor}).json()
    assert [later["id"]] == [event["payment_id"] for event in page["data"]]


def test_events_are_whole_whatever_the_page_size(api: Api) -> None:
    items = [new_payment(idempotency_key=new_key()) for _ in range(9)]
    api.post("/v1/payments/batch", {"payments": items})
    whole = api.events(9)
    assert 9 == len({event["id"] for event in whole})
    for limit in (1, 4, 9):
        assert whole == api.all_of("/v1/events", limit)


def test_balances_follow_every_move_and_sum_to_zero(api: Api) -> None:
    api.paid(amount=10_000)
    held = api.paid(amount=5_000, capture=False)
    refunded = api.paid(amount=2_000)
    api.post(f"/v1/payments/{refunded['id']}/refunds", {"amount": 500})
    api.post(f"/v1/payments/{held['id']}/capture", {"amount": 1_000})
    api.paid(amount=300, currency="JPY")
    balances = api.balances()
    assert ["JPY", "USD"] == sorted(balances)
    usd = balances["USD"]
    fees = 290 + 58 + 29
    assert -13_000 == usd["acquirer_receivable"]
    assert (0, 500, fees) == (usd["authorization_holds"], usd["refunds_payable"], usd["fees"])
    assert 13_000 - 500 - fees == usd["merchant_pending"] + usd["merchant_available"]
    for row in balances.values():
        assert 0 == sum(v for k, v in row.items() if k not in {"currency", "exponent"})


def test_a_merchant_sees_nothing_of_another(api: Api) -> None:
    other = api.sibling(create_merchant(api.service.database))
    other.paid()
    other.events(1)
    api.paid()
    api.events(1)
    assert 1 == len(api.all_of("/v1/payments")) == len(api.all_of("/v1/events"))
    assert -1099 == api.balances()["USD"]["acquirer_receivable"]


# --- batches


def test_a_batch_is_answered_in_its_order(api: Api) -> None:
    items = [new_payment(amount=n + 1, idempotency_key=new_key()) for n in range(50)]
    answer = api.post("/v1/payments/batch", {"payments": items}, key="")
    assert 200 == answer.status_code
    results = answer.json()["results"]
    assert {(201, False)} == {(result["status"], result["replayed"]) for result in results}
    assert [item["amount"] for item in items] == [row["body"]["amount"] for row in results]


def test_a_batch_of_1000_payments_is_taken(api: Api) -> None:
    items = [new_payment(amount=1, idempotency_key=new_key()) for _ in range(1_000)]
    results = api.post("/v1/payments/batch", {"payments": items}).json()["results"]
    assert [201] * 1_000 == [result["status"] for result in results]
    assert -1_000 == api.balances()["USD"]["acquirer_receivable"]


def test_a_key_that_comes_twice_in_a_batch_is_a_replay(api: Api) -> None:
    item = new_payment(idempotency_key=new_key())
    other = item | {"amount": 5}
    batch = {"payments": [item, item, other]}
    first, second, third = api.post("/v1/payments/batch", batch).json()["results"]
    assert (False, True) == (first["replayed"], second["replayed"])
    assert first["body"] == second["body"]
    assert (422, "key_reused") == (third["status"], third["body"]["code"])
    assert -1099 == api.balances()["USD"]["acquirer_receivable"]


def test_a_batch_and_a_single_payment_share_their_keys(api: Api) -> None:
    key, body = new_key(), new_payment()
    single = api.post("/v1/payments", body, key)
    batch = {"payments": [body | {"idempotency_key": key}]}
    (result,) = api.post("/v1/payments/batch", batch).json()["results"]
    assert (201, True) == (result["status"], result["replayed"])
    assert single.json() == result["body"]


def test_a_batch_that_is_sent_again_is_a_replay_of_each_payment(api: Api) -> None:
    batch = {"payments": [new_payment(idempotency_key=new_key()) for _ in range(5)]}
    first = api.post("/v1/payments/batch", batch).json()["results"]
    second = api.post("/v1/payments/batch", batch).json()["results"]
    assert [result | {"replayed": True} for result in first] == second
    assert 5 * -1099 == api.balances()["USD"]["acquirer_receivable"]


def test_payments_of_a_batch_are_decided_in_order(api: Api) -> None:
    item = new_payment(reference="same")
    batch = [item | {"idempotency_key": new_key()} for _ in range(2)]
    results = api.post("/v1/payments/batch", {"payments": batch}).json()["results"]
    assert ["captured", "declined"] == [result["body"]["status"] for result in results]
    assert "suspected_duplicate" == results[1]["body"]["decline"]["code"]


@pytest.mark.parametrize("size", [1, 3])
def test_a_batch_of_nothing_but_bad_payments_is_answered(api: Api, size: int) -> None:
    results = api.post("/v1/payments/batch", {"payments": [{}] * size}).json()["results"]
    assert [422] * size == [result["status"] for result in results]


def test_what_is_wrong_in_a_batch_is_told_as_for_a_single_payment(api: Api) -> None:
    body = new_payment(currency="XXX")
    single = api.post("/v1/payments", body)
    assert (422, "unknown_currency") == problem_of(single)
    batch = {"payments": [body | {"idempotency_key": new_key()}]}
    (result,) = api.post("/v1/payments/batch", batch).json()["results"]
    ignored = {"request_id"}
    assert {k: v for k, v in single.json().items() if k not in ignored} == {
        k: v for k, v in result["body"].items() if k not in ignored
    }

"""What every endpoint promises, over HTTP, to a merchant who pays attention."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from tests.support.service import (
    Api,
    Json,
    create_merchant,
    new_key,
    new_payment,
    new_source,
    problem_of,
)

from evertill.domain.idempotency import scope_digest
from evertill.domain.rules import MerchantTerms
from evertill.storage.answers import lock_number

ApiWithTerms = Callable[..., Api]
FEE = 32  # 2.9 % of 10.99, rounded half to even


@pytest.fixture
def api_with(api: Api) -> ApiWithTerms:
    """Give a function that makes a client of a new merchant with the terms that are named."""

    def make(*, active: bool = True, **terms: Any) -> Api:
        merchant = create_merchant(api.service.database, MerchantTerms(**terms), active=active)
        return api.sibling(merchant)

    return make


def declined(answer: Any) -> str:
    """Return the code of a payment that must be stored as declined."""
    payment = answer.json()
    assert (201, "declined") == (answer.status_code, payment["status"])
    assert payment["decline"]["message"]
    code: str = payment["decline"]["code"]
    return code


# --- create


def test_a_payment_is_authorized_and_captured_at_once(api: Api) -> None:
    payment = api.paid(reference="order-1", description="Zwei Karten \u2013 f\u00fcr heute")
    assert re.fullmatch("pay_[0-9a-f]{32}", payment["id"])
    assert ("captured", 1099, 1099, 0) == (
        payment["status"],
        payment["amount"],
        payment["amount_captured"],
        payment["amount_refunded"],
    )
    assert ("USD", 2, FEE) == (payment["currency"], payment["exponent"], payment["fee"])
    assert ("order-1", "Zwei Karten \u2013 f\u00fcr heute") == (
        payment["reference"],
        payment["description"],
    )
    assert (None, None) == (payment["decline"], payment["expires_at"])


def test_a_payment_can_be_authorized_only(api: Api) -> None:
    payment = api.paid(capture=False)
    assert ("authorized", 0, 0) == (payment["status"], payment["amount_captured"], payment["fee"])
    assert payment["expires_at"] > payment["created_at"]


@pytest.mark.parametrize(("currency", "exponent"), [("JPY", 0), ("EUR", 2), ("KWD", 3)])
def test_a_currency_brings_its_exponent(api: Api, currency: str, exponent: int) -> None:
    assert exponent == api.paid(currency=currency)["exponent"]
    assert exponent == api.balances()[currency]["exponent"]


def test_a_payment_is_read_as_it_was_answered(api: Api) -> None:
    payment = api.paid()
    assert payment == api.payment(payment["id"])


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded"])
def test_a_payment_that_curl_sends_without_being_told_the_type_is_taken(
    api: Api, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = b'{"amount":1099,"currency":"USD","source":"tok_curl"}'
    assert 201 == api.post("/v1/payments", content=body, headers=headers).status_code


def test_the_scheme_of_a_key_is_read_in_any_case(api: Api) -> None:
    headers = {"authorization": f"BEARER {api.merchant.key}"}
    assert 200 == api.get("/v1/balances", headers=headers).status_code


# --- replays


@pytest.mark.parametrize("fields", [{}, {"capture": False}, {"amount": 100_000_001}])
def test_a_repeated_key_gets_the_same_bytes_and_moves_nothing(
    api: Api, fields: dict[str, Any]
) -> None:
    key, body = new_key(), new_payment(**fields)
    first = api.post("/v1/payments", body, key)
    balances = api.balances()
    second = api.post("/v1/payments", body, key)
    assert (201, 201) == (first.status_code, second.status_code)
    assert first.content == second.content
    assert "idempotent-replayed" not in first.headers
    assert "true" == second.headers["idempotent-replayed"]
    assert balances == api.balances()


def test_the_order_of_members_and_white_space_make_no_other_body(api: Api) -> None:
    key = new_key()
    first = api.post("/v1/payments", key=key, content=b'{"amount":5,"currency":"USD","source":"t"}')
    second = api.post(
        "/v1/payments",
        key=key,
        content=b'{ "source":"t","capture":true,\n"reference": null,"currency":"USD","amount":5}',
    )
    assert first.content == second.content


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1100},
        {"currency": "EUR"},
        {"source": "tok_2"},
        {"capture": False},
        {"reference": "r"},
        {"description": "d"},
    ],
    ids=str,
)
def test_a_repeated_key_with_another_body_is_a_422(api: Api, change: Json) -> None:
    key, body = new_key(), new_payment()
    api.post("/v1/payments", body, key)
    assert (422, "key_reused") == problem_of(api.post("/v1/payments", body | change, key))


def test_a_quoted_key_is_the_bare_one(api: Api) -> None:
    key, body = new_key(), new_payment()
    first = api.post("/v1/payments", body, key)
    assert first.content == api.post("/v1/payments", body, f'"{key}"').content


def test_a_key_of_255_characters_works(api: Api) -> None:
    assert 201 == api.pay("k" * 255).status_code


def test_what_is_refused_is_not_remembered_under_its_key(api: Api) -> None:
    key = new_key()
    assert 422 == api.pay(key, amount=0).status_code
    assert 201 == api.pay(key).status_code


def test_a_key_counts_within_its_merchant_alone(api: Api, api_with: ApiWithTerms) -> None:
    key, body = new_key(), new_payment()
    payments = [client.post("/v1/payments", body, key).json() for client in (api, api_with())]
    assert payments[0]["id"] != payments[1]["id"]


def test_a_key_counts_within_its_operation_and_its_payment_alone(api: Api) -> None:
    key = new_key()
    first = api.pay(key, capture=False).json()
    second = api.paid(capture=False)
    answers = [
        api.post(f"/v1/payments/{payment['id']}/{move}", {}, key)
        for payment in (first, second)
        for move in ("capture", "refunds")
    ]
    assert [200, 201, 200, 201] == [answer.status_code for answer in answers]
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


def test_a_key_that_another_process_works_on_is_a_409_at_once(api: Api) -> None:
    key = new_key()
    lock = lock_number(scope_digest(api.merchant.merchant_id, "create", "", key))
    with psycopg.connect(api.service.database.admin_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
        answer = api.pay(key)
        neighbour = api.pay()
    assert (409, "key_in_flight") == problem_of(answer)
    assert "1" == answer.headers["retry-after"]
    assert 201 == neighbour.status_code


def test_one_key_from_many_clients_at_once_is_one_payment(api: Api) -> None:
    key, body = new_key(), new_payment()
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda _: api.post("/v1/payments", body, key), range(32), timeout=60)
        )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert 1 == len({answer.content for answer in answers if answer.status_code == 201})
    assert -1099 == api.balances()["USD"]["acquirer_receivable"]


def test_a_key_used_more_than_7_days_ago_is_a_409_with_the_payments_id(api: Api) -> None:
    key, body = new_key(), new_payment()
    payment = api.post("/v1/payments", body, key).json()
    api.service.database.rows(
        "UPDATE events SET created_at = created_at - interval '8 days' WHERE payment_id = %s",
        [payment["id"].removeprefix("pay_")],
    )
    answer = api.post("/v1/payments", body, key)
    assert (409, "key_expired") == problem_of(answer)
    assert payment["id"] == answer.json()["payment_id"]


# --- capture, cancel, refund


def test_a_capture_takes_all_that_was_authorized(api: Api) -> None:
    payment = api.paid(capture=False)
    captured = api.post(f"/v1/payments/{payment['id']}/capture")
    assert (200, "captured") == (captured.status_code, captured.json()["status"])
    assert (1099, FEE) == (captured.json()["amount_captured"], captured.json()["fee"])
    assert captured.json() == api.payment(payment["id"])


def test_a_partial_capture_is_final_and_releases_the_rest(api: Api) -> None:
    payment = api.paid(capture=False)
    path = f"/v1/payments/{payment['id']}/capture"
    assert 400 == api.post(path, {"amount": 400}).json()["amount_captured"]
    assert (409, "illegal_transition") == problem_of(api.post(path, {"amount": 100}))
    balance = api.balances()["USD"]
    assert (0, -400) == (balance["authorization_holds"], balance["acquirer_receivable"])


def test_a_cancel_releases_the_hold(api: Api) -> None:
    payment = api.paid(capture=False)
    assert 1099 == api.balances()["USD"]["authorization_holds"]
    canceled = api.post(f"/v1/payments/{payment['id']}/cancel")
    assert (200, "canceled") == (canceled.status_code, canceled.json()["status"])
    assert {0} == {v for k, v in api.balances()["USD"].items() if k not in {"currency", "exponent"}}


def test_several_refunds_are_possible_up_to_the_amount_captured(api: Api) -> None:
    payment = api.paid()
    path = f"/v1/payments/{payment['id']}/refunds"
    first = api.post(path, {"amount": 99, "reference": "returned"})
    assert (201, "partially_refunded", 99, "returned") == (
        first.status_code,
        first.json()["payment_status"],
        first.json()["amount"],
        first.json()["reference"],
    )
    assert (422, "amount_too_large") == problem_of(api.post(path, {"amount": 1001}))
    rest = api.post(path).json()
    assert ("refunded", 1000) == (rest["payment_status"], rest["amount"])
    assert re.fullmatch("ref_[0-9a-f]{32}", rest["id"])
    assert 1099 == api.payment(payment["id"])["amount_refunded"]
    assert (409, "illegal_transition") == problem_of(api.post(path, {"amount": 1}))
    assert 1099 == api.balances()["USD"]["refunds_payable"]


@pytest.mark.parametrize(
    ("move", "body"), [("capture", {"amount": 7}), ("cancel", {}), ("refunds", {"amount": 7})]
)
def test_a_repeated_move_gets_the_same_bytes_and_moves_nothing(
    api: Api, move: str, body: Json
) -> None:
    payment, key = api.paid(capture=move == "refunds"), new_key()
    path = f"/v1/payments/{payment['id']}/{move}"
    first = api.post(path, body, key)
    balances = api.balances()
    second = api.post(path, body, key)
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "true" == second.headers["idempotent-replayed"]
    assert balances == api.balances()


def test_a_repeated_move_with_another_body_is_a_422(api: Api) -> None:
    payment, key = api.paid(), new_key()
    path = f"/v1/payments/{payment['id']}/refunds"
    api.post(path, {"amount": 7}, key)
    assert (422, "key_reused") == problem_of(api.post(path, {"amount": 8}, key))


def test_a_capture_of_more_than_was_authorized_is_a_422(api: Api) -> None:
    payment = api.paid(capture=False)
    answer = api.post(f"/v1/payments/{payment['id']}/capture", {"amount": 1100})
    assert (422, "amount_too_large") == problem_of(answer)
    assert payment == api.payment(payment["id"])


@pytest.mark.parametrize(
    ("before", "move", "current", "requested"),
    [
        ("captured", "capture", "captured", "captured"),
        ("captured", "cancel", "captured", "canceled"),
        ("authorized", "refunds", "authorized", "refunded"),
        ("declined", "capture", "declined", "captured"),
        ("declined", "cancel", "declined", "canceled"),
        ("declined", "refunds", "declined", "refunded"),
        ("canceled", "capture", "canceled", "captured"),
        ("canceled", "cancel", "canceled", "canceled"),
        ("canceled", "refunds", "canceled", "refunded"),
        ("expired", "capture", "expired", "captured"),
        ("expired", "cancel", "expired", "canceled"),
    ],
)
def test_an_illegal_move_is_a_409_that_names_both_states(
    api: Api, before: str, move: str, current: str, requested: str
) -> None:
    amount = 100_000_001 if before == "declined" else 1099
    payment = api.paid(capture=before == "captured", amount=amount)
    path = f"/v1/payments/{payment['id']}"
    if before == "canceled":
        api.post(f"{path}/cancel")
    if before == "expired":
        api.service.database.rows(
            "UPDATE payments SET expires_at = clock_timestamp() WHERE payment_id = %s",
            [payment["id"].removeprefix("pay_")],
        )
    answer = api.post(f"{path}/{move}")
    assert (409, "illegal_transition") == problem_of(answer)
    problem = answer.json()
    assert (current, requested) == (problem["current_status"], problem["requested_status"])
    assert current in problem["detail"]
    assert requested in problem["detail"]


# --- declines


def test_a_decline_is_stored_and_posts_nothing(api: Api) -> None:
    payment = api.pay(amount=100_000_001).json()
    assert ("declined", 0, 0) == (payment["status"], payment["amount_captured"], payment["fee"])
    assert payment == api.payment(payment["id"])
    assert {} == api.balances()


def test_each_rule_declines_with_its_code(api: Api, api_with: ApiWithTerms) -> None:
    assert "amount_over_limit" == declined(api.pay(amount=100_000_001))
    strict = api_with(
        accepted_currencies=frozenset({"USD"}),
        blocked_sources=frozenset({"tok_blocked"}),
        approved_sum_limits_minor={"USD": (2000, 3000, 4000)},
    )
    assert "currency_not_accepted" == declined(strict.pay(currency="EUR"))
    assert "source_blocked" == declined(strict.pay(source="tok_blocked"))
    assert 201 == strict.pay(source="tok_sum").status_code
    assert "approved_sum_over_limit" == declined(strict.pay(source="tok_sum", amount=1000))
    assert "merchant_inactive" == declined(api_with(active=False).pay())


def test_a_source_that_is_used_too_often_is_declined(api_with: ApiWithTerms) -> None:
    api, source = api_with(attempts_max=(3, 100, 100)), new_source()
    for number in range(3):
        assert "captured" == api.paid(source=source, amount=100 + number)["status"]
    assert "too_many_attempts" == declined(api.pay(source=source))
    assert "captured" == api.paid(source=source, currency="EUR")["status"]
    assert "captured" == api.paid()["status"]


def test_a_suspected_duplicate_is_declined_unless_its_reference_differs(api: Api) -> None:
    source = new_source()
    api.paid(source=source)
    assert "suspected_duplicate" == declined(api.pay(source=source))
    assert "captured" == api.paid(source=source, reference="another")["status"]


def test_a_validation_says_what_a_payment_would_get_and_takes_none(api: Api) -> None:
    good = {"amount": 1099, "currency": "USD", "source": new_source()}
    answer = api.post("/v1/validations", good, key="")
    assert (200, {"valid": True, "decline": None}) == (answer.status_code, answer.json())
    bad = api.post("/v1/validations", good | {"amount": 100_000_001}, key="").json()
    assert (False, "amount_over_limit") == (bad["valid"], bad["decline"]["code"])
    assert ([], {}) == (api.all_of("/v1/payments"), api.balances())
    api.paid(**good)
    repeated = api.post("/v1/validations", good, key="").json()
    assert "suspected_duplicate" == repeated["decline"]["code"]

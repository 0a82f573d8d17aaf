"""The direct invoke, in the built asset, through AWS's own client, on a real database."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import pytest
from tests.support.postgres import Database
from tests.support.service import create_merchant, new_source
from tests.validation.conftest import Deploy, Place, direct, payment

from evertill.domain.errors import InvalidRequest
from evertill.domain.rules import MerchantTerms
from evertill.validation.direct import read_amount


def test_a_valid_payment_is_told_with_amount_currency_region_and_time(place: Place) -> None:
    event = payment(amount="10.90")
    status, body = place.direct(**event)
    assert 200 == status
    assert datetime.fromisoformat(body.pop("validated_at")).utcoffset() is not None
    assert {
        "valid": True,
        "payment_id": event["payment_id"],
        "amount": "10.90",
        "currency": "USD",
        "region": "us-east-1",
        "read_only": False,
        "history_checked": False,
    } == body


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("10.99", "USD", 1099),
        ("10.9900", "USD", 1099),
        ("0010", "USD", 1000),
        ("1000000", "USD", 100_000_000),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("0.01", "USD", 1),
    ],
)
def test_an_amount_in_major_units_is_stored_exactly(
    place: Place, amount: str, currency: str, minor: int
) -> None:
    event = payment(amount=amount, currency=currency)
    assert 200 == place.direct(**event)[0]
    assert [(minor, currency, None)] == place.database.rows(
        "SELECT amount_minor::bigint, currency, decline_code FROM validations"
        " WHERE payment_reference = %s",
        [event["payment_id"]],
    )


@pytest.mark.parametrize(
    ("written", "shown"), [("10.99", 10.99), ("10", 10), ("100.10", 100.1), ("1e2", 100)]
)
def test_a_json_number_is_read_as_it_was_written(place: Place, written: str, shown: float) -> None:
    payload = json.dumps(payment(amount="@")).replace('"@"', written)
    answer = place.function.invoke_text(payload).payload
    assert 200 == answer["statusCode"], answer
    assert shown == json.loads(answer["body"])["amount"]


@pytest.mark.parametrize("written", ["0", "-1", "-0.01", "0.0", '"0"', '"-5"', '"-0.00"', "-1e30"])
def test_nothing_and_less_is_an_invalid_amount(place: Place, written: str) -> None:
    payload = json.dumps(payment(amount="@")).replace('"@"', written)
    answer = place.function.invoke_text(payload).payload
    body = json.loads(answer["body"])
    assert (400, "Invalid amount") == (answer["statusCode"], body["reason"])
    assert (False, "amount_not_positive") == (body["valid"], body["code"])


@pytest.mark.parametrize(
    "written", ["1000000.01", '"1000000.01"', "1e15", "1e300", '"9999999999999999999"', "1" * 400]
)
def test_an_amount_over_the_limit_is_told_as_such(place: Place, written: str) -> None:
    payload = json.dumps(payment(amount="@")).replace('"@"', written)
    answer = place.function.invoke_text(payload).payload
    body = json.loads(answer["body"])
    assert (400, "Amount exceeds limit") == (answer["statusCode"], body["reason"])
    assert (False, "amount_over_limit") == (body["valid"], body["code"])


@pytest.mark.parametrize(
    "written",
    [
        "true",
        "false",
        "null",
        '"NaN"',
        '"Infinity"',
        '"-Infinity"',
        "10.999",
        '"10.999"',
        "0.30000000000000004",
        "123456.7890123456",
        '"1e2"',
        '"ten"',
        '" 10"',
        '"10,5"',
        '"\u0661\u0660"',
        '""',
        "[]",
        "{}",
        '"' + "1" * 33 + '"',
    ],
)
def test_what_is_no_exact_amount_is_refused_with_a_reason(place: Place, written: str) -> None:
    payload = json.dumps(payment(amount="@")).replace('"@"', written)
    answer = place.function.invoke_text(payload).payload
    body = json.loads(answer["body"])
    assert (400, "invalid_request") == (answer["statusCode"], body["code"])
    assert body["reason"].startswith("Invalid amount: ")
    assert not body["valid"]


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_should_a_client_let_it_through(
    amount: float,
) -> None:
    # AWS's own client refuses such JSON before the function sees it; a caller in Python does not.
    with pytest.raises(InvalidRequest, match="finite"):
        read_amount(amount, "USD")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payment_id", None),
        ("payment_id", 7),
        ("payment_id", ""),
        ("payment_id", "x" * 65),
        ("payment_id", "a\nb"),
        ("payment_id", "a\u0085b"),
        ("payment_id", "a\u2028b"),
        ("reference", "\x9b2J"),
        ("payment_id", "4111 1111 1111 1111"),
        ("source", "4111111111111111"),
        ("source", ["tok"]),
        ("source", "tok 1"),
        ("source", "t\u00f6k"),
        ("merchant", "nobody"),
        ("currency", "usd"),
        ("currency", "XAU"),
        ("currency", None),
        ("currency", 840),
    ],
)
def test_a_field_that_cannot_be_used_is_named(place: Place, field: str, value: Any) -> None:
    status, body = place.direct(**payment(**{field: value}))
    assert 400 == status
    assert body["reason"].startswith(f"Invalid {field}")
    assert "4111" not in json.dumps(body)


@pytest.mark.parametrize("event", [None, [], 7, "text", {}, {"requestContext": 7}])
def test_an_event_that_is_no_payment_is_refused(place: Place, event: Any) -> None:
    assert 400 == direct(place.function, event)[0]


def test_fields_that_nobody_knows_are_let_be(place: Place) -> None:
    assert 200 == place.direct(**payment(), note="x" * 100_000, nested={"a": [1]})[0]


def test_a_merchants_terms_and_its_sources_history_decide(place: Place) -> None:
    terms = MerchantTerms(amount_limits_minor={"USD": 500}, attempts_max=(0, 0, 0))
    merchant = create_merchant(place.database, terms)
    status, body = place.direct(**payment(merchant=merchant.name, amount="5.01"))
    assert (400, "amount_over_limit") == (status, body["code"])
    fields = {"merchant": merchant.name, "amount": "5", "source": new_source()}
    status, body = place.direct(**payment(**fields))
    assert (400, "too_many_attempts", True) == (status, body["code"], body["history_checked"])


def test_limits_for_callers_without_a_merchant_are_set_per_currency(
    database: Database, deploy: Deploy
) -> None:
    function = deploy(database, EVERTILL_AMOUNT_LIMITS="USD=50,JPY=2000000")
    assert 400 == direct(function, payment(amount="50.01"))[0]
    assert 200 == direct(function, payment(amount="50"))[0]
    assert 200 == direct(function, payment(amount="2000000", currency="JPY"))[0]
    assert 400 == direct(function, payment(amount="1000000.01", currency="EUR"))[0]

"""Bad bodies of every kind: each gets the right 4xx with problem details, and changes nothing."""

from __future__ import annotations

import json

import pytest
from tests.support.service import Api, create_merchant, new_key, new_payment, new_source, problem_of

CARD = "4111111111111111"
CARDS = {
    "bare": CARD,
    "spaces": "4111 1111 1111 1111",
    "hyphens": "4111-1111-1111-1111",
    "behind words": f"card {CARD} please",
    "behind a reference": f"order 1 {CARD}",
    "american express": "378282246310005",
    "other digits": "".join(chr(0x0660 + int(digit)) for digit in CARD),
}
DEEP = 100_000


@pytest.fixture
def api(unmoved: Api) -> Api:
    """Give a client whose merchant is compared before and after each test."""
    return unmoved


def sent(api: Api, body: bytes, path: str = "/v1/payments", **headers: str) -> tuple[int, str]:
    """Send a body as it is and return what became of it."""
    return problem_of(
        api.post(path, content=body, headers={"content-type": "application/json"} | headers)
    )


def raw(**members: str) -> bytes:
    """Write a payment with members as JSON text."""
    fields = {"amount": "1099", "currency": '"USD"', "source": '"tok_raw"'} | members
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


# --- what is no JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b"amount=1099&currency=USD",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"amount":1099,}',
        b"{'amount':1099}",
        raw(amount="NaN"),
        raw(amount="Infinity"),
        raw(amount="-Infinity"),
        raw(amount="01"),
        raw(amount="+1"),
        raw(amount="1e"),
        raw(reference=r'"\ud800"'),
        raw(reference=r'"\udc00 "'),
        raw(reference='"a\x00b"'),
        raw(reference='"a\nb"'),
        raw(reference='"?"').replace(b"?", b"\xff"),
        raw() + b"{}",
    ],
    ids=repr,
)
def test_what_is_no_json_is_a_400(api: Api, body: bytes) -> None:
    assert (400, "malformed_request") == sent(api, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount":1,"amount":1099,"currency":"USD","source":"tok_1"}',
        b'{"amount":1099,"currency":"USD","source":"tok_1","source":"tok_2"}',
        b'{"amount":1099,"currency":"USD","source":"tok_1","s\\u006furce":"tok_2"}',
        b'{"amount":1099,"currency":"USD","source":"tok_1","capture":true,"capture":true}',
        b'{"amount":1099,"currency":"USD","source":"a:b","source":"c"}',
    ],
    ids=["amount", "source", "escaped", "default", "colon"],
)
@pytest.mark.parametrize("path", ["/v1/payments", "/v1/validations"])
def test_a_member_that_is_named_twice_is_a_400(api: Api, path: str, body: bytes) -> None:
    if path == "/v1/validations" and b"capture" in body:
        body = body.replace(b"capture", b"reference").replace(b"true", b'"r"')
    assert (400, "malformed_request") == sent(api, body, path)


# --- JSON that is no payment


@pytest.mark.parametrize(
    "amount",
    [
        "1.10",
        "1.0",
        "1e2",
        "1e400",
        "-1e400",
        '"1099"',
        "0",
        "-1",
        "-0",
        "true",
        "false",
        "null",
        "[1]",
        "{}",
        str(2**63),
        str(2**63 - 1),
        str(2**64),
        "1" * 5_000,
        "1000000000000",
    ],
    ids=lambda text: text[:24],
)
def test_an_amount_that_is_no_positive_integer_of_minor_units_is_a_422(
    api: Api, amount: str
) -> None:
    answer = api.post("/v1/payments", content=raw(amount=amount))
    assert (422, "invalid_request") == problem_of(answer)
    assert "amount" == answer.json()["field"]


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("currency", '"usd"'),
        ("currency", '"US"'),
        ("currency", '"USD\\n"'),
        ("currency", '""'),
        ("currency", "840"),
        ("source", '""'),
        ("source", '"has space"'),
        ("source", '"tok\\n"'),
        ("source", '"tok\\u0000"'),
        ("source", '"t\u00f6k"'),
        ("source", '"' + "x" * 65 + '"'),
        ("source", "7"),
        ("reference", '""'),
        ("reference", '"a\\u0000b"'),
        ("reference", '"a\\u001fb"'),
        ("reference", '"a\\n"'),
        ("reference", '"\\u007f"'),
        ("reference", '"' + "x" * 65 + '"'),
        ("description", '""'),
        ("description", '"a\\tb"'),
        ("description", '"' + "x" * 256 + '"'),
        ("capture", '"false"'),
        ("capture", "0"),
        ("capture", "null"),
    ],
)
def test_a_member_of_the_wrong_form_is_a_422_that_names_it(
    api: Api, member: str, text: str
) -> None:
    answer = api.post("/v1/payments", content=raw(**{member: text}))
    assert (422, "invalid_request") == problem_of(answer)
    assert member == answer.json()["field"]


@pytest.mark.parametrize("currency", ["XXX", "XAU", "XTS", "XDR", "AAA", "DEM"])
def test_a_code_that_is_no_currency_with_minor_units_is_a_422(api: Api, currency: str) -> None:
    answer = api.pay(currency=currency)
    assert (422, "unknown_currency") == problem_of(answer)
    assert "currency" == answer.json()["field"]


@pytest.mark.parametrize(
    "body",
    [
        raw(tip="1"),
        raw(idempotency_key='"k"'),
        b'{"amount":1099,"currency":"USD"}',
        b'{"currency":"USD","source":"tok_1"}',
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b'{"payments":[]}',
    ],
    ids=repr,
)
def test_unknown_and_missing_members_are_a_422(api: Api, body: bytes) -> None:
    assert (422, "invalid_request") == sent(api, body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP,
        raw(reference="[" * DEEP),
        b'{"payments":' + b"[" * DEEP,
        b'{"payments":[' + b"[" * DEEP + b"]" * DEEP + b"]}",
        b'{"payments":[' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"]}",
    ],
    ids=lambda body: repr(body[:16]),
)
@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/batch", "/v1/validations"])
def test_deep_nesting_is_a_client_error(api: Api, path: str, body: bytes) -> None:
    status, code = sent(api, body, path)
    assert (status, code) in {(400, "malformed_request"), (422, "invalid_request")}


# --- card numbers


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("field", ["reference", "description"])
@pytest.mark.parametrize("path", ["/v1/payments", "/v1/validations"])
def test_a_card_number_in_free_text_is_refused_and_not_echoed(
    api: Api, path: str, field: str, card: str
) -> None:
    if path == "/v1/validations" and field == "description":
        pytest.skip("a validation has no description")
    answer = api.post(path, new_payment(**{field: card}))
    assert (422, "card_number_refused") == problem_of(answer)
    assert field == answer.json()["field"]
    assert card not in answer.text


@pytest.mark.parametrize("card", [CARD, "4111-1111-1111-1111", "tok_1-" + CARD, "378282246310005"])
def test_a_card_number_as_source_is_refused_and_not_echoed(api: Api, card: str) -> None:
    answer = api.pay(source=card)
    assert (422, "card_number_refused") == problem_of(answer)
    assert "source" == answer.json()["field"]
    assert card not in answer.text


def test_a_card_number_as_the_reference_of_a_refund_is_refused(api: Api) -> None:
    payment = api.get("/v1/payments", params={"limit": "2"}).json()["data"][1]
    answer = api.post(f"/v1/payments/{payment['id']}/refunds", {"reference": CARD})
    assert (422, "card_number_refused") == problem_of(answer)


# --- batches


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"payments": []}, 422),
        ({"payments": [{}] * 1_001}, 422),
        ({"payments": {}}, 422),
        ({"payments": None}, 422),
        ({}, 422),
        ([], 422),
        ({"payments": [], "more": 1}, 422),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_batch_of_the_wrong_form_is_refused_whole(api: Api, body: object, status: int) -> None:
    assert (status, "invalid_request") == problem_of(api.post("/v1/payments/batch", body))


@pytest.mark.parametrize("again", ["payments", r"p\u0061yments"])
def test_a_batch_that_is_named_twice_is_a_400(api: Api, again: str) -> None:
    item = json.dumps(new_payment(idempotency_key=new_key()))
    body = f'{{"payments":[{item}],"{again}":[{item}]}}'.encode()
    assert (400, "malformed_request") == sent(api, body, "/v1/payments/batch")


@pytest.mark.parametrize(
    ("item", "status", "code"),
    [
        (raw(), 422, "invalid_request"),
        (raw(idempotency_key='""'), 422, "invalid_request"),
        (raw(idempotency_key='"\\u00fc"'), 400, "idempotency_key_invalid"),
        (raw(idempotency_key='"' + "k" * 256 + '"'), 422, "invalid_request"),
        (raw(idempotency_key='"k"', amount="9" * 5_000), 422, "invalid_request"),
        (raw(idempotency_key='"k"', amount="1.10"), 422, "invalid_request"),
        (raw(idempotency_key='"k"', currency='"XXX"'), 422, "unknown_currency"),
        (raw(idempotency_key='"k"', reference=f'"{CARD}"'), 422, "card_number_refused"),
        (raw(idempotency_key='"k"', reference='"a\\u0000b"'), 422, "invalid_request"),
        (
            raw(idempotency_key='"k"', reference='"a"')[:-1] + b',"reference":"b"}',
            400,
            "malformed_request",
        ),
        (b"null", 422, "invalid_request"),
        (b'"\xff"', 422, "invalid_request"),
    ],
)
def test_a_bad_payment_of_a_batch_is_only_its_own_problem(
    api: Api, item: bytes, status: int, code: str
) -> None:
    # The merchant next door: this one's state must not change.
    other = api.sibling(create_merchant(api.service.database))
    good = [
        json.dumps(new_payment(idempotency_key=new_key(), reference=f'"{n}"\\')).encode()
        for n in range(2)
    ]
    body = b'{"payments":[' + b",".join([good[0], item, good[1]]) + b"]}"
    answer = other.post("/v1/payments/batch", content=body)
    results = answer.json()["results"]
    assert [201, status, 201] == [result["status"] for result in results]
    assert code == results[1]["body"]["code"]
    assert 2 * 1099 == -other.balances()["USD"]["acquirer_receivable"]


def test_sources_of_refused_payments_are_not_counted(api: Api) -> None:
    source = new_source()
    for _ in range(3):
        api.pay(source=source, amount=0)
    count = api.service.database.rows("SELECT count(*) FROM payments WHERE source = %s", [source])
    assert [(0,)] == count

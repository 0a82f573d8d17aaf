"""Bad headers, ids, queries and keys: each gets the right 4xx, and changes nothing."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
from tests.support.service import Api, create_merchant, new_key, new_payment, problem_of

from evertill.storage import directory

UNKNOWN_ID = "pay_" + "0" * 32
BODY = b'{"amount":1099,"currency":"USD","source":"tok_raw"}'


@pytest.fixture
def api(unmoved: Api) -> Api:
    """Give a client whose merchant is compared before and after each test."""
    return unmoved


# --- keys


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments",
        *(f"/v1/payments/{UNKNOWN_ID}/{move}" for move in ("capture", "cancel", "refunds")),
    ],
)
def test_a_missing_idempotency_key_is_a_400(api: Api, path: str) -> None:
    body = new_payment() if path == "/v1/payments" else {}
    assert (400, "idempotency_key_missing") == problem_of(api.post(path, body, key=""))


@pytest.mark.parametrize(
    "key", ["", '""', "k" * 256, '"' + "k" * 256 + '"', "a\tb"], ids=lambda key: key[:8]
)
def test_an_idempotency_key_of_the_wrong_form_is_a_400(api: Api, key: str) -> None:
    answer = api.post("/v1/payments", new_payment(), headers={"idempotency-key": key})
    assert (400, "idempotency_key_invalid") == problem_of(answer)


def test_an_idempotency_key_that_is_not_ascii_is_a_400(api: Api) -> None:
    headers: Any = {"idempotency-key": "schl\u00fcssel".encode()}
    answer = api.http.post("/v1/payments", json=new_payment(), headers=headers)
    assert (400, "malformed_request") == problem_of(answer)


@pytest.mark.parametrize("name", ["idempotency-key", "authorization", "content-type"])
def test_a_header_that_may_stand_once_and_comes_twice_is_a_400(api: Api, name: str) -> None:
    headers = [
        ("authorization", f"Bearer {api.merchant.key}"),
        ("idempotency-key", new_key()),
        ("content-type", "application/json"),
    ]
    twice = headers + [pair for pair in headers if pair[0] == name]
    request = httpx.Request("POST", f"{api.service.url}/v1/payments", headers=twice, content=BODY)
    assert (400, "malformed_request") == problem_of(api.http.send(request))


# --- other tenants and ids


@pytest.mark.parametrize("move", ["", "/capture", "/cancel", "/refunds"])
def test_a_payment_of_another_merchant_is_a_404(api: Api, move: str) -> None:
    other = api.sibling(create_merchant(api.service.database))
    payment = other.paid(capture=move in {"", "/refunds"})
    path = f"/v1/payments/{payment['id']}{move}"
    assert (404, "not_found") == problem_of(api.post(path, {}) if move else api.get(path))
    assert payment == other.payment(payment["id"])


@pytest.mark.parametrize(
    "payment_id",
    [
        UNKNOWN_ID,
        "pay_",
        "pay_" + "0" * 31,
        "pay_" + "0" * 33,
        "pay_" + "A" * 32,
        "pay_" + "g" * 32,
        "ref_" + "0" * 32,
        "0" * 32,
        "%00",
        "..",
        "pay_%0a",
        "x" * 1_000,
    ],
)
def test_an_id_that_names_nothing_is_a_404(api: Api, payment_id: str) -> None:
    url = api.http.base_url.copy_with(raw_path=f"/v1/payments/{payment_id}/capture".encode())
    assert (404, "not_found") == problem_of(api.post(str(url), {}))


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/events"])
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=ten",
        "limit=%D9%A1",
        "limit=",
        "limit=1&limit=2",
        "cursor=nonsense",
        "cursor=%00",
        "cursor=%FF",
        "cursor=" + "A" * 1_000,
        "cursor=AAAA&cursor=AAAA",
        "page=2",
        "limit",
        "&&&",
        "=",
        "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9",
    ],
)
def test_a_query_that_no_list_takes_is_a_422(api: Api, path: str, query: str) -> None:
    assert (422, "invalid_request") == problem_of(api.get(f"{path}?{query}"))


def test_a_cursor_of_another_merchant_shows_nothing_of_it(api: Api) -> None:
    other = api.sibling(create_merchant(api.service.database))
    others = {other.paid()["id"] for _ in range(3)}
    cursor = other.get("/v1/payments", params={"limit": "1"}).json()["next_cursor"]
    seen = {row["id"] for row in api.get(f"/v1/payments?cursor={cursor}").json()["data"]}
    assert set() == seen & others


# --- who is calling


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer sk_wrong",
        "Basic c2s6",
        "sk_bare",
        "Bearer " + "k" * 500,
    ],
)
def test_a_request_without_a_valid_key_is_a_401_that_says_how(
    api: Api, authorization: str | None
) -> None:
    request = api.http.build_request("POST", "/v1/payments", json=new_payment())
    del request.headers["authorization"]
    if authorization is not None:
        request.headers["authorization"] = authorization
    answer = api.http.send(request)
    assert (401, "unauthorized") == problem_of(answer)
    assert "Bearer" == answer.headers["www-authenticate"]


def test_a_key_that_was_revoked_is_a_401(api: Api) -> None:
    database, name = api.service.database, api.merchant.name
    revoked = directory.create_key(database.admin_url, name, ["read", "write"])
    directory.revoke_key(database.admin_url, name, revoked[-4:])
    answer = api.get("/v1/balances", headers={"authorization": f"Bearer {revoked}"})
    assert (401, "unauthorized") == problem_of(answer)


@pytest.mark.parametrize(
    ("scopes", "method", "path", "needed"),
    [
        (["read"], "POST", "/v1/payments", "write"),
        (["read"], "POST", "/v1/payments/batch", "write"),
        (["read"], "POST", f"/v1/payments/{UNKNOWN_ID}/capture", "write"),
        (["read"], "POST", f"/v1/payments/{UNKNOWN_ID}/cancel", "write"),
        (["read"], "POST", f"/v1/payments/{UNKNOWN_ID}/refunds", "write"),
        (["write"], "GET", "/v1/payments", "read"),
        (["write"], "GET", "/v1/balances", "read"),
        (["write"], "GET", "/v1/events", "read"),
        (["write"], "POST", "/v1/validations", "read"),
        (["admin"], "POST", "/v1/payments", "write"),
    ],
)
def test_a_key_without_the_scope_is_a_403_that_names_it(
    api: Api, scopes: list[str], method: str, path: str, needed: str
) -> None:
    key = directory.create_key(api.service.database.admin_url, api.merchant.name, scopes)
    headers = {"authorization": f"Bearer {key}", "idempotency-key": new_key()}
    answer = api.http.request(method, path, headers=headers, json=new_payment())
    assert (403, "forbidden") == problem_of(answer)
    assert f"'{needed}'" in answer.json()["detail"]


# --- media types


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
        {"content-type": "text/xml"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonp"},
        {"content-type": "nonsense"},
    ],
    ids=repr,
)
def test_a_body_that_is_not_plain_json_is_a_415(api: Api, headers: dict[str, str]) -> None:
    body = gzip.compress(BODY) if "gzip" in headers.values() else BODY
    answer = api.post("/v1/payments", content=body, headers=headers)
    assert (415, "unsupported_media_type") == problem_of(answer)

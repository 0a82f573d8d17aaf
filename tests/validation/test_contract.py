"""One contract, two doors: the service over HTTP and the function behind a load balancer.

Each request is sent to both, which work on one database. Status, problem and body must agree; what
differs by nature (ids of requests) is checked and left out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from tests.support.runtime_api import Function, running_function
from tests.support.service import (
    Api,
    Merchant,
    Service,
    create_merchant,
    new_payment,
    new_source,
    problem_of,
)
from tests.validation.conftest import Parts, environment, login

from evertill.domain.rules import MerchantTerms

PATH = "/v1/validations"
DIFFERENT = ("x-request-id", "date", "content-length", "connection")


class Doors(NamedTuple):
    """The service, and the function on the same database."""

    service: Service
    function: Function

    def merchant(self, terms: MerchantTerms | None = None, **options: Any) -> Merchant:
        """Create a merchant that both know."""
        return create_merchant(self.service.database, terms, **options)

    def ask(self, key: str | None, body: bytes, **options: Any) -> httpx.Response:
        """Ask both the same, hold them to agree, and return the answer."""
        headers = {"content-type": "application/json", **options.get("headers", {})}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        method, path = options.get("method", "POST"), options.get("path", PATH)
        theirs = httpx.request(method, self.service.url + path, headers=headers, content=body)
        ours = self.through_balancer(method, path, headers, body, **options.get("event", {}))
        assert comparable(theirs) == comparable(ours)
        for answer in (theirs, ours):
            if answer.status_code != 200:
                problem_of(answer)
        return ours

    def through_balancer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, **event: Any
    ) -> httpx.Response:
        """Ask the function as a load balancer does, and return what that would answer."""
        if event.pop("several", False):
            event["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
        else:
            event["headers"] = headers
        is_encoded = event.pop("encoded", False)
        text = base64.b64encode(body).decode() if is_encoded else body.decode()
        whole = {
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
            "httpMethod": method,
            "path": path,
            "queryStringParameters": {},
            "body": text,
            "isBase64Encoded": is_encoded,
        }
        given = self.function.invoke(whole | event)
        assert given.error is None, given.payload
        told = given.payload
        shown = told.get("headers") or {k: v[0] for k, v in told["multiValueHeaders"].items()}
        assert told["statusDescription"].startswith(str(told["statusCode"]))
        return httpx.Response(told["statusCode"], headers=shown, text=told["body"])


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return what two doors must agree about."""
    body = answer.json()
    if "request_id" in body:
        assert body.pop("request_id") == answer.headers["x-request-id"]
    headers = {k: v for k, v in answer.headers.items() if k not in DIFFERENT}
    headers["content-type"] = headers["content-type"].partition(";")[0]
    return answer.status_code, headers, body


def encoded(**fields: Any) -> bytes:
    """Return a body."""
    return json.dumps(new_payment(**fields)).encode()


@pytest.fixture(scope="module")
def doors(
    shared_service: Service, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    """Give both doors."""
    given = environment(parts, login(shared_service.database))
    log = tmp_path_factory.mktemp("contract") / "function.log"
    with running_function(parts.asset, parts.client, given, log) as function:
        yield Doors(shared_service, function)


@pytest.fixture(scope="module")
def key(doors: Doors) -> str:
    """Give a key that both know."""
    return doors.merchant().key


def test_a_payment_that_would_be_taken_is_valid(doors: Doors, key: str) -> None:
    answer = doors.ask(key, encoded(reference="order-1"))
    assert (200, {"valid": True, "decline": None}) == (answer.status_code, answer.json())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("is_encoded", [False, True])
def test_a_target_group_may_send_its_events_either_way(
    doors: Doors, key: str, *, several: bool, is_encoded: bool
) -> None:
    event = {"several": several, "encoded": is_encoded}
    assert 200 == doors.ask(key, encoded(), event=event).status_code


@pytest.mark.parametrize(
    ("terms", "fields", "code"),
    [
        (MerchantTerms(amount_limits_minor={"USD": 10}), {}, "amount_over_limit"),
        (MerchantTerms(accepted_currencies=frozenset({"EUR"})), {}, "currency_not_accepted"),
        (
            MerchantTerms(blocked_sources=frozenset({"tok_bad"})),
            {"source": "tok_bad"},
            "source_blocked",
        ),
        (MerchantTerms(attempts_max=(0, 5, 5)), {}, "too_many_attempts"),
        (
            MerchantTerms(approved_sum_limits_minor={"USD": (5, 5, 5)}),
            {},
            "approved_sum_over_limit",
        ),
    ],
)
def test_both_decline_by_the_same_rules(
    doors: Doors, terms: MerchantTerms, fields: dict[str, Any], code: str
) -> None:
    answer = doors.ask(doors.merchant(terms).key, encoded(**fields))
    assert (200, code) == (answer.status_code, answer.json()["decline"]["code"])


def test_both_know_what_the_source_has_paid(doors: Doors) -> None:
    terms = MerchantTerms(attempts_max=(3, 3, 3))
    merchant = doors.merchant(terms)
    api = Api(doors.service, merchant)
    fields = {"source": new_source(), "amount": 700, "reference": "order-7"}
    api.paid(**fields)
    assert (
        "suspected_duplicate"
        == doors.ask(merchant.key, encoded(**fields)).json()["decline"]["code"]
    )
    assert doors.ask(merchant.key, encoded(**fields | {"amount": 701})).json()["valid"]
    api.paid(**fields | {"amount": 702})
    api.paid(**fields | {"amount": 703, "reference": None})
    api.close()
    declined = doors.ask(merchant.key, encoded(**fields | {"amount": 704})).json()["decline"]
    assert "too_many_attempts" == declined["code"]


def test_an_inactive_merchant_is_declined_by_both(doors: Doors) -> None:
    merchant = doors.merchant(active=False)
    assert "merchant_inactive" == doors.ask(merchant.key, encoded()).json()["decline"]["code"]


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 10.99},
        {"amount": "10"},
        {"amount": True},
        {"amount": 10**12},
        {"currency": "usd"},
        {"currency": "XXX"},
        {"currency": "US"},
        {"source": None},
        {"source": "4111111111111111"},
        {"source": "a b"},
        {"reference": "4111 1111 1111 1111"},
        {"reference": "a\nb"},
        {"reference": ""},
        {"capture": False},
    ],
)
def test_both_refuse_the_same_fields(doors: Doors, key: str, fields: dict[str, Any]) -> None:
    answer = doors.ask(key, encoded(**fields))
    assert 422 == answer.status_code
    assert "4111" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"amount": NaN}',
        b'{"amount": 1, "amount": 2, "currency": "USD", "source": "tok"}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_both_refuse_the_same_bodies(doors: Doors, key: str, body: bytes) -> None:
    assert doors.ask(key, body, event={"encoded": True}).status_code in {400, 422}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic abc", "Bearer sk_unknown", "Bearer " + "x" * 200],
)
def test_both_want_a_key(doors: Doors, header: str) -> None:
    answer = doors.ask(None, encoded(), headers={"authorization": header} if header else {})
    assert 401 == answer.status_code
    assert "Bearer" == answer.headers["www-authenticate"]


def test_both_want_the_scope(doors: Doors) -> None:
    key = doors.merchant(scopes=["write"]).key
    assert 403 == doors.ask(key, encoded()).status_code


def test_a_scheme_is_read_without_regard_to_case(doors: Doors, key: str) -> None:
    headers = {"authorization": f"bEARER {key}"}
    assert 200 == doors.ask(None, encoded(), headers=headers).status_code


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml"])
def test_both_take_json_only(doors: Doors, key: str, media_type: str) -> None:
    answer = doors.ask(key, encoded(), headers={"content-type": media_type})
    assert 415 == answer.status_code


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_both_take_post_only(doors: Doors, key: str, method: str) -> None:
    assert 405 == doors.ask(key, b"", method=method).status_code


def test_both_know_no_other_address_below(doors: Doors, key: str) -> None:
    assert 404 == doors.ask(key, encoded(), path=PATH + "/more").status_code


def test_a_body_over_a_mebibyte_is_refused(doors: Doors, key: str) -> None:
    assert 413 == doors.ask(key, b" " * ((1 << 20) + 1)).status_code

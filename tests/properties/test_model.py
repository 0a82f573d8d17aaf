"""The service beside a model of it: after each step both say the same about payments and money.

The model is plain Python that shares nothing with `evertill.domain`: fees are worked out with
`decimal`, balances are added up by hand, states are a table written down anew. Hypothesis chooses
the steps; it is derandomized, so every run takes the same ones, and prints them when they fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from tests.support.history import (
    BALANCES_THAT_ARE_NOT_THEIR_ENTRIES,
    ENTRIES_THAT_DO_NOT_SUM,
    is_path,
)
from tests.support.service import Api, Json, Service, create_merchant, new_key, new_source

from evertill.domain.rules import MerchantTerms

EXAMPLES = 25
STEPS = 25
CLIENTS = 6
FEE_BASIS_POINTS = 290
FEES_FIXED = {"USD": 30, "JPY": 0, "KWD": 7}
CURRENCIES = {"USD": 2, "JPY": 0, "KWD": 3}
ACCOUNTS = (
    "acquirer_receivable",
    "authorization_holds",
    "merchant_pending",
    "merchant_available",
    "fees",
    "refunds_payable",
)
TERMS = MerchantTerms(fee_basis_points=FEE_BASIS_POINTS, fees_fixed_minor=FEES_FIXED)

amounts = st.integers(1, 50_000) | st.sampled_from([1, 2, 50, 150, 250, 500])
currencies = st.sampled_from(sorted(CURRENCIES))


def expected_fee(amount: int, currency: str) -> int:
    """Work out a fee: 2.9 % half-even plus the fixed part, never more than the amount."""
    share = Decimal(amount) * FEE_BASIS_POINTS / 10_000
    rounded = int(share.quantize(Decimal(1), ROUND_HALF_EVEN))
    return min(rounded + FEES_FIXED[currency], amount)


class Model:
    """One merchant's payments and balances, as they should be."""

    def __init__(self) -> None:
        self.payments: dict[str, Json] = {}
        self.events: dict[str, list[str]] = {}
        self.balances: dict[str, Counter[str]] = {}

    def post(self, currency: str, **changes: int) -> None:
        """Add to accounts what a move changes; it has to sum to zero."""
        assert 0 == sum(changes.values())
        self.balances.setdefault(currency, Counter()).update(changes)

    def create(self, payment: Json, body: Json) -> None:
        """Take a payment that the service says is not declined."""
        amount, currency = body["amount"], body["currency"]
        held = not body.get("capture", True)
        fee = 0 if held else expected_fee(amount, currency)
        expected = {
            "id": payment["id"],
            "status": "authorized" if held else "captured",
            "amount": amount,
            "currency": currency,
            "exponent": CURRENCIES[currency],
            "amount_captured": 0 if held else amount,
            "amount_refunded": 0,
            "fee": fee,
            "source": body["source"],
            "reference": body.get("reference"),
            "description": body.get("description"),
            "decline": None,
            "created_at": payment["created_at"],
            "expires_at": payment["expires_at"],
        }
        assert expected == payment
        assert held == (payment["expires_at"] is not None)
        self.payments[payment["id"]] = expected
        self.events[payment["id"]] = [expected["status"]]
        if held:
            self.post(currency, acquirer_receivable=-amount, authorization_holds=amount)
        else:
            credited = {"merchant_pending": amount - fee, "fees": fee}
            self.post(currency, acquirer_receivable=-amount, **credited)

    def capture(self, payment_id: str, amount: int) -> int:
        """Capture and return the status that the service has to answer with."""
        payment = self.payments[payment_id]
        if payment["status"] != "authorized":
            return 409
        if amount > payment["amount"]:
            return 422
        fee = expected_fee(amount, payment["currency"])
        payment |= {"status": "captured", "amount_captured": amount, "fee": fee}
        self.events[payment_id].append("captured")
        self.post(
            payment["currency"],
            authorization_holds=-payment["amount"],
            acquirer_receivable=payment["amount"] - amount,
            merchant_pending=amount - fee,
            fees=fee,
        )
        return 200

    def cancel(self, payment_id: str) -> int:
        """Cancel and return the status that the service has to answer with."""
        payment = self.payments[payment_id]
        if payment["status"] != "authorized":
            return 409
        payment["status"] = "canceled"
        self.events[payment_id].append("canceled")
        amount = payment["amount"]
        self.post(payment["currency"], authorization_holds=-amount, acquirer_receivable=amount)
        return 200

    def refund(self, payment_id: str, amount: int) -> int:
        """Refund and return the status that the service has to answer with."""
        payment = self.payments[payment_id]
        if payment["status"] not in {"captured", "partially_refunded"}:
            return 409
        left = payment["amount_captured"] - payment["amount_refunded"]
        if amount > left:
            return 422
        payment["amount_refunded"] += amount
        payment["status"] = "refunded" if amount == left else "partially_refunded"
        self.events[payment_id].append("refunded")
        self.post(payment["currency"], merchant_pending=-amount, refunds_payable=amount)
        return 201


class ServiceBesideModel(RuleBasedStateMachine):
    """The steps; `service` is set by the test."""

    service: Service
    made: Bundle[str] = Bundle("made")
    # What was sent and answered, to be sent again.
    sent: Bundle[tuple[str, Json, str, bytes]] = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.merchant = create_merchant(self.service.database, TERMS)
        self.api = Api(self.service, self.merchant)
        self.model = Model()

    def teardown(self) -> None:
        """Look at all of it once more, the events too."""
        self.check_events()
        self.api.close()

    @initialize(target=made, amount=amounts, currency=currencies)
    def begin(self, amount: int, currency: str) -> str:
        return self.take({"amount": amount, "currency": currency, "source": new_source()})[0]

    def take(self, body: Json) -> tuple[str, str, bytes]:
        key = new_key()
        answer = self.api.post("/v1/payments", body, key)
        assert 201 == answer.status_code, answer.text
        assert "idempotent-replayed" not in answer.headers
        payment = answer.json()
        self.model.create(payment, body)
        return payment["id"], key, answer.content

    @rule(
        target=sent,
        amount=amounts,
        currency=currencies,
        reference=st.none() | st.text("abcé€ 💶", min_size=1, max_size=8),
    )
    def remember(self, amount: int, currency: str, reference: str | None) -> Any:
        body = {"amount": amount, "currency": currency, "source": new_source()}
        if reference is not None:
            body["reference"] = reference
        _, key, content = self.take(body)
        return ("/v1/payments", body, key, content)

    @rule(target=made, amount=amounts, currency=currencies, capture=st.booleans())
    def create(self, amount: int, currency: str, *, capture: bool) -> str:
        body = {"amount": amount, "currency": currency, "source": new_source(), "capture": capture}
        return self.take(body)[0]

    @rule(target=made, amount=amounts, currency=currencies)
    def authorize(self, amount: int, currency: str) -> str:
        body = {"amount": amount, "currency": currency, "source": new_source(), "capture": False}
        return self.take(body)[0]

    @rule(target=sent, payment_id=made, percent=st.integers(1, 110) | st.just(100))
    def capture(self, payment_id: str, percent: int) -> Any:
        amount = max(1, self.model.payments[payment_id]["amount"] * percent // 100)
        expected = self.model.capture(payment_id, amount)
        return self.move(f"/v1/payments/{payment_id}/capture", {"amount": amount}, expected)

    @rule(target=sent, payment_id=made)
    def cancel(self, payment_id: str) -> Any:
        return self.move(f"/v1/payments/{payment_id}/cancel", {}, self.model.cancel(payment_id))

    @rule(target=sent, payment_id=made, percent=st.integers(1, 110) | st.just(100))
    def refund(self, payment_id: str, percent: int) -> Any:
        payment = self.model.payments[payment_id]
        left = payment["amount_captured"] - payment["amount_refunded"]
        amount = max(1, left * percent // 100)
        expected = self.model.refund(payment_id, amount)
        return self.move(f"/v1/payments/{payment_id}/refunds", {"amount": amount}, expected)

    def move(self, path: str, body: Json, expected: int) -> Any:
        key = new_key()
        answer = self.api.post(path, body, key)
        assert expected == answer.status_code, answer.text
        return (path, body, key, answer.content) if answer.is_success else multiple()

    @rule(earlier=sent)
    def replay(self, earlier: tuple[str, Json, str, bytes]) -> None:
        path, body, key, content = earlier
        again = self.api.post(path, body, key)
        assert content == again.content
        assert "true" == again.headers["idempotent-replayed"]
        assert again.status_code in {200, 201}

    @rule(earlier=sent)
    def reuse_the_key_for_another_body(self, earlier: tuple[str, Json, str, bytes]) -> None:
        path, body, key, _ = earlier
        if body:
            other = self.api.post(path, body | {"amount": body["amount"] + 1}, key)
            assert (422, "key_reused") == (other.status_code, other.json()["code"])

    @rule(target=made, amount=amounts, currency=currencies)
    def send_at_once_under_one_key(self, amount: int, currency: str) -> str:
        body = {"amount": amount, "currency": currency, "source": new_source()}
        key = new_key()
        with ThreadPoolExecutor(CLIENTS) as threads:
            posts = [
                threads.submit(self.api.post, "/v1/payments", body, key) for _ in range(CLIENTS)
            ]
            answers = [post.result() for post in posts]
        taken = [answer for answer in answers if answer.status_code == 201]
        waited = [answer for answer in answers if answer.status_code != 201]
        assert 1 == sum("idempotent-replayed" not in answer.headers for answer in taken)
        assert 1 == len({answer.content for answer in taken})
        assert {(409, "key_in_flight")} >= {(a.status_code, a.json()["code"]) for a in waited}
        self.model.create(taken[0].json(), body)
        return str(taken[0].json()["id"])

    @rule(target=made, wanted=st.lists(amounts, min_size=1, max_size=5), data=st.data())
    def send_a_batch_with_repeats(self, wanted: list[int], data: st.DataObject) -> Any:
        items = [
            {
                "amount": amount,
                "currency": "USD",
                "source": new_source(),
                "idempotency_key": new_key(),
            }
            for amount in wanted
        ]
        repeats = data.draw(st.lists(st.sampled_from(range(len(items))), max_size=3))
        order = [*range(len(items)), *repeats]
        answer = self.api.post("/v1/payments/batch", {"payments": [items[i] for i in order]}, "")
        assert 200 == answer.status_code
        results = answer.json()["results"]
        assert [201] * len(order) == [result["status"] for result in results]
        assert [position >= len(items) for position in range(len(order))] == [
            result["replayed"] for result in results
        ]
        assert [results[i]["body"] for i in order] == [result["body"] for result in results]
        for item, result in zip(items, results, strict=False):
            self.model.create(result["body"], item)
        return multiple(*[result["body"]["id"] for result in results[: len(items)]])

    @rule(payment_id=consumes(made))
    def look_at_one(self, payment_id: str) -> None:
        assert self.model.payments[payment_id] == self.api.payment(payment_id)

    @invariant()
    def payments_are_those_of_the_model(self) -> None:
        stored = {payment["id"]: payment for payment in self.api.all_of("/v1/payments")}
        assert self.model.payments == stored

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        expected = {
            currency: {account: changes[account] for account in ACCOUNTS}
            for currency, changes in self.model.balances.items()
        }
        assert expected == {
            currency: {account: row[account] for account in ACCOUNTS}
            for currency, row in self.api.balances().items()
        }

    @invariant()
    def nothing_is_refunded_that_was_not_captured(self) -> None:
        for payment in self.model.payments.values():
            captured = payment["amount_captured"]
            assert 0 <= payment["amount_refunded"] <= captured <= payment["amount"]

    def check_events(self) -> None:
        """Compare the stored events and ledger with the model, by SQL."""
        rows = self.service.database.rows(
            "SELECT payment_id, type FROM events WHERE merchant_id = %s"
            " ORDER BY transaction_id, event_id",
            [self.merchant.merchant_id],
        )
        told: dict[str, list[str]] = {}
        for payment_id, kind in rows:
            told.setdefault(f"pay_{payment_id.hex}", []).append(kind.removeprefix("payment."))
        assert self.model.events == told
        assert all(is_path(states) for states in told.values())
        assert [] == self.service.database.rows(ENTRIES_THAT_DO_NOT_SUM)
        assert [] == self.service.database.rows(BALANCES_THAT_ARE_NOT_THEIR_ENTRIES)


@pytest.fixture
def machine(shared_service: Service) -> Iterator[type[ServiceBesideModel]]:
    """Give the machine on the shared service, with a merchant of its own per example."""
    ServiceBesideModel.service = shared_service
    yield ServiceBesideModel
    del ServiceBesideModel.service


def test_the_service_does_what_the_model_does(machine: type[ServiceBesideModel]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_models_fees_are_those_of_school() -> None:
    """2.9 % of 50 is 1.45, of 500 is 14.5, of 1500 is 43.5: halves go to the even side."""
    assert [1, 14, 44] == [expected_fee(amount, "JPY") for amount in (50, 500, 1500)]

"""A batch decides as its payments would have been decided one by one, in arrival order."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.service import Api, Json, Service, create_merchant, new_key

from evertill.domain.rules import MerchantTerms

EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)
# Tight enough for every rule to decline something within a dozen payments.
TIGHT = MerchantTerms(
    accepted_currencies=frozenset({"USD", "EUR"}),
    amount_limits_minor={"USD": 600, "EUR": 600},
    attempts_max=(6, 8, 10),
    approved_sum_limits_minor={"USD": (1000, 1500, 2000), "EUR": (700, 1500, 2000)},
    blocked_sources=frozenset({"tok_blocked"}),
)

payments = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([1, 100, 250, 599, 600, 601]),
        "currency": st.sampled_from(["USD", "USD", "USD", "EUR", "JPY"]),
        "source": st.sampled_from(["tok_a", "tok_a", "tok_b", "tok_blocked"]),
        "capture": st.booleans(),
    },
    optional={"reference": st.sampled_from(["one", "two"])},
)


def sameness(payment: Json) -> tuple[object, ...]:
    """Return what has to be the same for both ways of sending a payment."""
    names = ("status", "amount", "amount_captured", "fee", "decline")
    return tuple(payment[name] for name in names)


def one_by_one(api: Api, wanted: list[Json]) -> list[tuple[object, ...]]:
    """Send payments each after the answer to the one before."""
    answers = [api.post("/v1/payments", body) for body in wanted]
    assert [201] * len(wanted) == [answer.status_code for answer in answers]
    return [sameness(answer.json()) for answer in answers]


def in_batches(api: Api, wanted: list[Json], size: int) -> list[tuple[object, ...]]:
    """Send payments in batches of `size`."""
    found = []
    for start in range(0, len(wanted), size):
        items = [body | {"idempotency_key": new_key()} for body in wanted[start : start + size]]
        answer = api.post("/v1/payments/batch", {"payments": items}, "")
        assert 200 == answer.status_code
        found += [sameness(result["body"]) for result in answer.json()["results"]]
    return found


def fresh(service: Service) -> Api:
    """Return a client with the key of a new merchant on tight terms."""
    return Api(service, create_merchant(service.database, TIGHT))


@EXAMPLES
@given(wanted=st.lists(payments, min_size=1, max_size=14), size=st.sampled_from([3, 14]))
@example(wanted=[{"amount": 1, "currency": "USD", "source": "tok_a"}] * 12, size=14)
@example(wanted=[{"amount": 600, "currency": "USD", "source": "tok_a"}] * 3, size=14)
@example(
    wanted=[{"amount": 1 + number, "currency": "USD", "source": "tok_a"} for number in range(12)],
    size=5,
)
def test_a_batch_decides_like_its_payments_one_by_one(
    shared_service: Service, wanted: list[Json], size: int
) -> None:
    single, batched = fresh(shared_service), fresh(shared_service)
    try:
        assert one_by_one(single, wanted) == in_batches(batched, wanted, size)
        assert single.balances() == batched.balances()
    finally:
        single.close()
        batched.close()

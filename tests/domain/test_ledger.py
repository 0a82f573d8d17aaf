"""Fees are rounded half-even once, and every posting conserves money."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertill.domain import ledger
from evertill.domain.ledger import Account, Transfer

AMOUNTS = st.integers(min_value=1, max_value=10**12)


def entries(transfers: list[Transfer]) -> Counter[Account]:
    moved: Counter[Account] = Counter()
    for transfer in transfers:
        moved[transfer.debit] -= transfer.amount_minor
        moved[transfer.credit] += transfer.amount_minor - transfer.fee_minor
        moved[Account.FEES] += transfer.fee_minor
    return moved


@pytest.mark.parametrize(
    ("amount", "basis_points", "fixed", "fee"),
    [(1000, 290, 30, 59), (50, 100, 0, 0), (150, 100, 0, 2), (250, 100, 0, 2), (10, 290, 30, 10)],
)
def test_a_fee_is_basis_points_half_even_plus_fixed_and_never_more_than_the_amount(
    amount: int, basis_points: int, fixed: int, fee: int
) -> None:
    assert fee == ledger.fee_minor(amount, basis_points, fixed)


@given(amount=AMOUNTS, basis_points=st.integers(0, 10_000), fixed=st.integers(0, 1000))
def test_a_fee_equals_decimal_arithmetic(amount: int, basis_points: int, fixed: int) -> None:
    exact = Decimal(amount) * basis_points / 10_000
    rounded = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
    assert min(rounded + fixed, amount) == ledger.fee_minor(amount, basis_points, fixed)


@given(amount=AMOUNTS, data=st.data())
def test_authorize_and_capture_leave_what_a_sale_leaves_and_nothing_on_hold(
    amount: int, data: st.DataObject
) -> None:
    captured = data.draw(st.integers(1, amount))
    fee = data.draw(st.integers(0, captured))
    apart = entries([ledger.authorize(amount), *ledger.capture(amount, captured, fee)])
    assert entries([ledger.sale(captured, fee)]) == apart
    assert 0 == apart[Account.AUTHORIZATION_HOLDS]


@given(amount=AMOUNTS)
def test_an_authorization_that_is_released_leaves_no_trace_in_the_balances(amount: int) -> None:
    assert not any(entries([ledger.authorize(amount), ledger.release(amount)]).values())


@given(amount=AMOUNTS, settled=st.booleans())
def test_a_refund_takes_from_where_the_money_is(amount: int, *, settled: bool) -> None:
    source = Account.MERCHANT_AVAILABLE if settled else Account.MERCHANT_PENDING
    assert -amount == entries([ledger.refund(amount, settled=settled)])[source]

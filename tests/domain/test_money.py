"""Money is exact, and exponents are ISO 4217's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertill.domain.errors import InvalidRequest, UnknownCurrency
from evertill.domain.money import EXPONENTS, exponent, to_major, to_minor

AMOUNTS = st.integers(min_value=0, max_value=10**12)
CURRENCIES = st.sampled_from(sorted(EXPONENTS))


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("10.99", "USD", 1099),
        ("10", "USD", 1000),
        ("10.9", "USD", 1090),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("0.0001", "CLF", 1),
        ("0", "EUR", 0),
    ],
)
def test_decimal_amounts_become_minor_units_of_their_currency(
    amount: str, currency: str, minor: int
) -> None:
    assert minor == to_minor(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency"), [("10.999", "USD"), ("0.5", "JPY"), ("1.2345", "KWD")]
)
def test_a_fraction_of_a_minor_unit_is_refused_and_not_rounded(amount: str, currency: str) -> None:
    with pytest.raises(InvalidRequest, match="more precise"):
        to_minor(amount, currency)


@pytest.mark.parametrize(
    "amount", ["", "-1", "+1", "1e3", "NaN", "Infinity", "1,000", ".5", "5.", " 1", "١٢", "0x1"]
)
def test_what_is_no_plain_decimal_number_is_refused(amount: str) -> None:
    with pytest.raises(InvalidRequest, match="plain decimal"):
        to_minor(amount, "USD")


@pytest.mark.parametrize("currency", ["XXX", "XAU", "XTS", "usd", "US", "", "ZZZ"])
def test_a_code_without_minor_units_is_no_currency_of_a_payment(currency: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent(currency)


@given(amount_minor=AMOUNTS, currency=CURRENCIES)
def test_writing_an_amount_and_reading_it_back_changes_nothing(
    amount_minor: int, currency: str
) -> None:
    assert amount_minor == to_minor(to_major(amount_minor, currency), currency)

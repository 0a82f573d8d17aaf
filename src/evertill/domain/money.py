"""Money as integers of minor units, and the one place that knows currencies' exponents.

Exponents come from the `iso4217` data package (the published ISO 4217 tables); codes without minor
units, such as XXX and XAU, are no currencies that a payment can have.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from iso4217 import Currency

from evertill.domain.errors import InvalidRequest, UnknownCurrency

# ISO 8583 carries amounts in 12 digits; nothing larger could be passed on to a card network.
AMOUNT_MINOR_MAX: Final = 999_999_999_999

EXPONENTS: Final[dict[str, int]] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}

_MAJOR_UNITS: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,4})?")


def exponent(currency: str) -> int:
    """Return the number of decimals of `currency`; raise UnknownCurrency when it has none."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(field="currency") from None


def to_minor(amount: str, currency: str) -> int:
    """Turn a decimal string of major units into minor units, exactly.

    Raise InvalidRequest when it is not a plain decimal number or has a fraction of a minor unit;
    money is never rounded on its way in.
    """
    if not _MAJOR_UNITS.fullmatch(amount):
        message = f"'{amount[:32]}' is not a plain decimal amount such as 10.99."
        raise InvalidRequest(message, field="amount")
    minor = Decimal(amount).scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        message = f"{currency} has {exponent(currency)} decimals; {amount} is more precise."
        raise InvalidRequest(message, field="amount")
    return int(minor)


def to_major(amount_minor: int, currency: str) -> str:
    """Write an amount of minor units as a decimal string of major units, such as 10.99."""
    return str(Decimal(amount_minor).scaleb(-exponent(currency)))

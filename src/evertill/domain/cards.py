"""Finding card numbers where none may be, so that none is ever stored or logged.

Prefixes and lengths are those of ISO/IEC 7812 issuer ranges as the networks publish them. Refusal
asks for a whole token with a known prefix, a length that goes with it and a passing Luhn check;
redaction, which costs nobody a payment, takes any run of 13 to 19 digits.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19

_SEPARATOR: Final = r"[\s\-\u2010-\u2015]"
_RUN: Final = re.compile(rf"(?<![^\W_])\d(?:{_SEPARATOR}?\d){{{DIGITS_MIN - 1},}}(?![^\W_])")
_GROUP: Final = re.compile(r"\d+")
_LONG_NUMBER: Final = re.compile(rf"(?<!\d)\d(?:{_SEPARATOR}?\d){{{DIGITS_MIN - 1}}}")
# The same for ASCII in a tenth of the time, because every payment is looked at: without separators
# and with every digit made a nought, a run of them is plain to see.
_NOUGHTS: Final = bytes(ord("0") if chr(byte).isdigit() else byte for byte in range(128)).ljust(256)
_SEPARATORS: Final = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f-"
_RUN_OF_NOUGHTS: Final = b"0" * DIGITS_MIN
_REDACTABLE: Final = re.compile(rf"\d(?:{_SEPARATOR}?\d){{{DIGITS_MIN - 1},{DIGITS_MAX - 1}}}")


class IssuerRange(NamedTuple):
    """Card numbers whose leading digits lie in `first`..`last` have one of these `lengths`."""

    first: int
    last: int
    lengths: frozenset[int]


_LONG: Final = frozenset(range(16, 20))
ISSUER_RANGES: Final = (
    IssuerRange(4, 4, frozenset({13, 16, 19})),  # Visa
    IssuerRange(51, 55, frozenset({16})),  # Mastercard
    IssuerRange(2221, 2720, frozenset({16})),  # Mastercard, 2-series
    IssuerRange(34, 34, frozenset({15})),  # American Express
    IssuerRange(37, 37, frozenset({15})),  # American Express
    IssuerRange(6011, 6011, _LONG),  # Discover
    IssuerRange(644, 659, _LONG),  # Discover
    IssuerRange(62, 62, _LONG),  # UnionPay
    IssuerRange(300, 305, frozenset(range(14, 20))),  # Diners Club
    IssuerRange(3095, 3095, frozenset(range(14, 20))),  # Diners Club
    IssuerRange(36, 36, frozenset(range(14, 20))),  # Diners Club
    IssuerRange(38, 39, frozenset(range(14, 20))),  # Diners Club
    IssuerRange(3528, 3589, _LONG),  # JCB
    IssuerRange(2200, 2204, _LONG),  # Mir
    IssuerRange(5018, 5018, frozenset(range(13, 20))),  # Maestro
    IssuerRange(5020, 5020, frozenset(range(13, 20))),  # Maestro
    IssuerRange(5038, 5038, frozenset(range(13, 20))),  # Maestro
    IssuerRange(5893, 5893, frozenset(range(13, 20))),  # Maestro
    IssuerRange(6304, 6304, frozenset(range(13, 20))),  # Maestro
    IssuerRange(6759, 6759, frozenset(range(13, 20))),  # Maestro
    IssuerRange(6761, 6763, frozenset(range(13, 20))),  # Maestro
)


def holds_card_number(text: str) -> bool:
    """Tell whether a whole token of `text` is a plausible card number.

    Groups of digits joined by single spaces or hyphens are read as one token, and so is every
    contiguous part of such a chain, because a reference may stand right before the number.
    """
    if len(text) < DIGITS_MIN:
        return False
    return any(_holds_card(_GROUP.findall(run)) for run in _RUN.findall(text))


def holds_long_number(text: str) -> bool:
    """Tell whether `text` may hold 13 digits in a row at all: a quick look before a careful one."""
    if text.isascii():
        return text.encode().translate(_NOUGHTS, _SEPARATORS).find(_RUN_OF_NOUGHTS) >= 0
    return _LONG_NUMBER.search(text) is not None


def redact(text: str) -> str:
    """Return `text` with every run of 13 to 19 digits replaced; meant for logs."""
    return _REDACTABLE.sub("[digits]", text)


def _holds_card(groups: list[str]) -> bool:
    for start in range(len(groups)):
        number = ""
        for group in groups[start:]:
            number += group
            if len(number) > DIGITS_MAX:
                break
            if len(number) >= DIGITS_MIN and _is_card(number):
                return True
    return False


def _is_card(number: str) -> bool:
    digits = [int(digit) for digit in number]
    return _has_issuer("".join(map(str, digits))) and _passes_luhn(digits)


def _has_issuer(number: str) -> bool:
    return any(
        issuer.first <= int(number[: len(str(issuer.first))]) <= issuer.last
        for issuer in ISSUER_RANGES
        if len(number) in issuer.lengths
    )


def _passes_luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0

"""Realistic payments to try things with: the same ones for the same seed, as many as wanted.

Amounts are log-normal, merchants follow Zipf's law, a hundredth of the lines are retries (an
earlier line once more) and one in two hundred is bad in one of the ways that real files are. It is
separate from the import, which must cope with such files and may not know how they are made.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from evertill.client.encoding import Encoder, Row

RETRY_SHARE: Final = 0.01
BAD_SHARE: Final = 0.005
DIGIT_REFERENCE_SHARE: Final = 0.30
NO_REFERENCE_SHARE: Final = 0.02
NO_DESCRIPTION_SHARE: Final = 0.20
UNCAPTURED_SHARE: Final = 0.05
# Most sources are seen once; some come back now and then, and a few are busy.
RECURRING_SOURCE_SHARE: Final = 0.15
BUSY_SOURCE_SHARE: Final = 0.0005
RECURRING_SOURCES: Final = 50_000
BUSY_SOURCES: Final = 20

RETRY_DISTANCE_MAX: Final = 10_000
ZIPF_EXPONENT: Final = 1.1
AMOUNT_MEDIAN_USD: Final = 24.0
AMOUNT_SIGMA: Final = 1.1
DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19
TAG_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
TAG_LENGTH: Final = 6
SOURCE_BITS: Final = 48


class Denomination(NamedTuple):
    """A currency, its share of all payments, its decimals, and how much of it buys a dollar."""

    currency: str
    weight: float
    decimals: int
    per_dollar: float


DENOMINATIONS: Final = (
    Denomination("USD", 38.0, 2, 1.0),
    Denomination("EUR", 27.0, 2, 0.92),
    Denomination("GBP", 12.0, 2, 0.79),
    Denomination("JPY", 8.0, 0, 150.0),
    Denomination("CAD", 4.0, 2, 1.36),
    Denomination("AUD", 3.0, 2, 1.5),
    Denomination("KRW", 2.5, 0, 1350.0),
    Denomination("CHF", 2.0, 2, 0.88),
    Denomination("KWD", 1.5, 3, 0.31),
    Denomination("BHD", 1.0, 3, 0.38),
    Denomination("JOD", 0.5, 3, 0.71),
    Denomination("CLP", 0.5, 0, 930.0),
)

_FIRST_NAMES: Final = re.findall(
    r"\w+",
    "Blue Copper Northern Little Golden Harbour Old Quiet Red Silver Stone Sunny Upper Velvet "
    "Wild Winter Amber Cedar Crown Ember",
)
_TRADES: Final = re.findall(
    r"\w+",
    "Bakery Books Café Cycles Dairy Deli Flowers Foods Garage Garden Gym Hardware Hotel Kitchen "
    "Laundry Market Music Optics Outfitters Parcels Pharmacy Pizza Press Repairs Roasters Salon "
    "Shoes Stationers Studio Tailors Taxi Tea Tickets Tools Toys Travel Vets Wines Woodwork Yarn",
)
MERCHANTS: Final = tuple(f"{first} {trade}" for trade in _TRADES for first in _FIRST_NAMES)
_PURCHASES: Final = (
    "order",
    "two tickets",
    "monthly plan",
    "gift card, 1 piece",
    'the "large" box',
    "repair & parts",
    "weekly groceries",
    "deposit",
)
_TEST_CARDS: Final = ("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444")

_CURRENCY_WEIGHTS: Final = list(accumulate(entry.weight for entry in DENOMINATIONS))
_MERCHANT_WEIGHTS: Final = list(
    accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, len(MERCHANTS) + 1))
)


def write_sample(count: int, seed: int, encoder: Encoder) -> Iterator[str]:
    """Yield a file of `count` payments piece by piece, fully determined by `seed`."""
    yield encoder.opening()
    generator = _Generator(seed, encoder)
    for _ in range(count):
        yield generator.next_line()


class _Generator:
    """Makes one line after the other, and remembers the latest good ones for retries."""

    def __init__(self, seed: int, encoder: Encoder) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a sample must be repeatable.
        self._encoder = encoder
        self._repeatable: list[str] = []
        self._remembered = 0
        self._rows = 0
        # Letters only: with digits, a tag and a number could look like one card number.
        self._tag = "".join(self._random.choices(TAG_LETTERS, k=TAG_LENGTH))

    def next_line(self) -> str:
        """Return the next line: a retry, a bad line, or most likely a good one."""
        chance = self._random.random()
        if chance < RETRY_SHARE and self._repeatable:
            return self._repeat()
        row = self._row()
        if chance > 1 - BAD_SHARE:
            return self._spoil(row)
        line = self._encoder.line(row)
        # A payment without a reference is a new one each time, so it has no retries.
        if row.reference:
            self._remember(line)
        return line

    def _repeat(self) -> str:
        """Return an earlier line; near ones are likelier, as with real clients."""
        farthest = min(len(self._repeatable), RETRY_DISTANCE_MAX)
        distance = int(math.exp(self._random.random() * math.log(farthest)))
        return self._repeatable[(self._remembered - distance) % farthest]

    def _remember(self, line: str) -> None:
        if len(self._repeatable) < RETRY_DISTANCE_MAX:
            self._repeatable.append(line)
        else:
            self._repeatable[self._remembered % RETRY_DISTANCE_MAX] = line
        self._remembered += 1

    def _row(self) -> Row:
        rng = self._random
        self._rows += 1
        denomination = rng.choices(DENOMINATIONS, cum_weights=_CURRENCY_WEIGHTS)[0]
        merchant = rng.choices(MERCHANTS, cum_weights=_MERCHANT_WEIGHTS)[0]
        purchase = _PURCHASES[int(rng.random() * len(_PURCHASES))]
        return Row(
            reference=self._reference(),
            amount=self._amount(denomination),
            currency=denomination.currency,
            source=self._source(),
            merchant=merchant,
            description="" if rng.random() < NO_DESCRIPTION_SHARE else f"{merchant}: {purchase}",
            capture="false" if rng.random() < UNCAPTURED_SHARE else "true",
        )

    def _reference(self) -> str:
        chance = self._random.random()
        if chance < NO_REFERENCE_SHARE:
            return ""
        if chance < NO_REFERENCE_SHARE + DIGIT_REFERENCE_SHARE:
            length = DIGITS_MIN + int(self._random.random() * (DIGITS_MAX - DIGITS_MIN + 1))
            return f"{self._random.randrange(10**length):0{length}d}"
        return f"order-{self._tag}-{self._rows}"

    def _amount(self, denomination: Denomination) -> str:
        dollars = AMOUNT_MEDIAN_USD * math.exp(self._random.gauss(0, AMOUNT_SIGMA))
        scale = 10**denomination.decimals
        minor = max(1, round(dollars * denomination.per_dollar * scale))
        return _write_major(minor, denomination.decimals)

    def _source(self) -> str:
        chance = self._random.random()
        if chance < BUSY_SOURCE_SHARE:
            return f"tok_busy{int(self._random.random() * BUSY_SOURCES):04d}"
        if chance < BUSY_SOURCE_SHARE + RECURRING_SOURCE_SHARE:
            return f"tok_back{int(self._random.random() * RECURRING_SOURCES):06d}"
        return f"tok_{self._random.getrandbits(SOURCE_BITS):012x}"

    def _spoil(self, row: Row) -> str:
        """Return `row` as a line that is bad in one of the ways that real files are."""
        rng = self._random
        broken = len(_DEFECTS) + 2
        choice = int(rng.random() * broken)
        if choice < len(_DEFECTS):
            return self._encoder.line(_DEFECTS[choice](row, rng))
        if choice == len(_DEFECTS):
            return self._encoder.line_without(row, rng.choice(("amount", "currency", "source")))
        return self._encoder.line_broken(row)


def _write_major(minor: int, decimals: int) -> str:
    if not decimals:
        return str(minor)
    whole, part = divmod(minor, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def _too_precise(row: Row, _rng: random.Random) -> Row:
    return row._replace(amount="1.105", currency="USD")


def _wrong_currency(row: Row, rng: random.Random) -> Row:
    return row._replace(currency=rng.choice(("ZZZ", "usd", "XAU", "US", "€")))


def _card_as_source(row: Row, rng: random.Random) -> Row:
    return row._replace(source=rng.choice(_TEST_CARDS))


def _amount_of(*texts: str) -> Callable[[Row, random.Random], Row]:
    return lambda row, rng: row._replace(amount=rng.choice(texts))


_DEFECTS: Final[tuple[Callable[[Row, random.Random], Row], ...]] = (
    lambda row, _: row._replace(amount=f"-{row.amount}"),
    _too_precise,
    _wrong_currency,
    _card_as_source,
    lambda row, _: row._replace(source=""),
    lambda row, _: row._replace(source="two words"),
    _amount_of("99999999999999", "1000000000000000000000"),
    _amount_of("NaN", "inf", "1e3"),
    _amount_of("ten", "12,50", "1'000.00", "$5", ""),
    _amount_of("0", "0.00"),
    lambda row, _: row._replace(description=f"{row.merchant} 4111 1111 1111 1111"),
    lambda row, _: row._replace(reference="r" * 65),
    lambda row, _: row._replace(capture="perhaps"),
)

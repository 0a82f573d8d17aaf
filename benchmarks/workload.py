"""The payments that are sent, as bytes, made before the clock starts.

Merchants are Zipf-distributed, amounts log-normal, sources mostly fresh with some that come back,
keys and references unique. The same seed makes the same payments.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from benchmarks import bounds
from benchmarks.databases import Merchant, Regular
from evertill.domain.idempotency import scope_digest
from evertill.domain.rules import Attempt
from evertill.service.payments import CREATE

AMOUNT_MU: Final = 8.0
AMOUNT_SIGMA: Final = 1.0
# The yen has no minor unit, so its amounts are a hundredth of the others.
JPY_DIVISOR: Final = 100


class Prepared(NamedTuple):
    """Requests as they go over the wire, and the payments that each one asks for."""

    wires: list[bytes]
    payments: list[list[tuple[int, str]]]

    def key_digest(self, request: int, position: int) -> bytes:
        """Return the digest under which the service keeps a payment's key."""
        merchant_id, key = self.payments[request][position]
        return scope_digest(merchant_id, CREATE, "", key)


def api_keys(seed: int) -> list[str]:
    """Return the API keys of the workload's merchants; they guard nothing but the benchmark."""
    return [
        "sk_bench_" + sha256(f"{seed} {number}".encode()).hexdigest()[:40]
        for number in range(bounds.MERCHANTS)
    ]


def regulars(seed: int) -> list[Regular]:
    """Return the sources that pay again and again."""
    chance = random.Random(seed)  # noqa: S311 - a workload is to be repeatable
    merchants = _merchants(chance, bounds.REGULARS)
    return [
        Regular(merchant, chance.choice(bounds.CURRENCIES), f"tok_regular_{number:05d}")
        for number, merchant in enumerate(merchants)
    ]


class Workload:
    """Makes requests for merchants of one database; keys and references never repeat."""

    def __init__(self, seed: int, merchants: Sequence[Merchant]) -> None:
        """Draw from `seed`."""
        self._chance = random.Random(seed)  # noqa: S311 - a workload is to be repeatable
        self._merchants = merchants
        self._regulars = regulars(seed)
        self._numbers = itertools.count(1)
        self._heads = [
            (
                "HTTP/1.1\r\nhost: bench.local\r\ncontent-type: application/json\r\n"
                f"authorization: Bearer {merchant.api_key}\r\n"
            )
            for merchant in merchants
        ]

    def each_merchant(self, times: int) -> Prepared:
        """Make a payment for every merchant, over and over: it warms up all caches."""
        return self._singles(list(range(len(self._merchants))) * times)

    def payments(self, count: int) -> Prepared:
        """Make single payments."""
        return self._singles(_merchants(self._chance, count))

    def hot_payments(self, count: int) -> Prepared:
        """Make single payments that all credit one merchant in one currency."""
        return self._singles([0] * count, hot=True)

    def batches(self, count: int) -> Prepared:
        """Make calls of a full batch each; a call's payments are of one merchant."""
        prepared = Prepared([], [])
        for merchant in _merchants(self._chance, count):
            items, payments = [], []
            for _ in range(bounds.BATCH_SIZE):
                key = f"key-{next(self._numbers):08d}"
                currency = self._chance.choice(bounds.CURRENCIES)
                fields = self._write(currency, self._fresh(), key)
                items.append(f'{{"idempotency_key":"{key}",{fields}}}')
                payments.append((self._merchants[merchant].merchant_id, key))
            body = '{"payments":[' + ",".join(items) + "]}"
            wire = (
                f"POST /v1/payments/batch {self._heads[merchant]}"
                f"content-length: {len(body)}\r\n\r\n{body}"
            )
            prepared.wires.append(wire.encode())
            prepared.payments.append(payments)
        return prepared

    def attempts(self, count: int) -> list[tuple[int, Attempt]]:
        """Draw payments without a word of HTTP, each with its merchant's number."""
        drawn = []
        for merchant in _merchants(self._chance, count):
            number = next(self._numbers)
            who, currency, source = self._draw(merchant)
            drawn.append((who, Attempt(self._amount(currency), currency, source, f"o-{number}")))
        return drawn

    def _singles(self, merchants: list[int], *, hot: bool = False) -> Prepared:
        prepared = Prepared([], [])
        for drawn in merchants:
            merchant, currency, source = (drawn, "USD", self._fresh()) if hot else self._draw(drawn)
            key = f"key-{next(self._numbers):08d}"
            fields = self._write(currency, source, key)
            wire = (
                f"POST /v1/payments {self._heads[merchant]}idempotency-key: {key}\r\n"
                f"content-length: {len(fields) + 2}\r\n\r\n{{{fields}}}"
            )
            prepared.wires.append(wire.encode())
            prepared.payments.append([(self._merchants[merchant].merchant_id, key)])
        return prepared

    def _draw(self, merchant: int) -> Regular:
        """Draw who pays: a regular of any merchant, or a source that nobody has seen."""
        if self._chance.random() < bounds.REGULARS_SHARE:
            return self._chance.choice(self._regulars)
        return Regular(merchant, self._chance.choice(bounds.CURRENCIES), self._fresh())

    def _fresh(self) -> str:
        bits = self._chance.getrandbits(72)
        # The letter keeps any token from being digits alone, which might be a card number.
        return f"tok_{bits >> 36:09x}x{bits & 0xFFFFFFFFF:09x}"

    def _amount(self, currency: str) -> int:
        amount = 100 + int(self._chance.lognormvariate(AMOUNT_MU, AMOUNT_SIGMA))
        return amount // JPY_DIVISOR + 1 if currency == "JPY" else amount

    def _write(self, currency: str, source: str, key: str) -> str:
        return (
            f'"amount":{self._amount(currency)},"currency":"{currency}","source":"{source}",'
            f'"reference":"order-{key[4:]}"'
        )


def _merchants(chance: random.Random, count: int) -> list[int]:
    """Draw merchants by their rank, with the exponent that pgbench draws with."""
    weights = itertools.accumulate(
        rank**-bounds.ZIPF_EXPONENT for rank in range(1, bounds.MERCHANTS + 1)
    )
    return chance.choices(range(bounds.MERCHANTS), cum_weights=list(weights), k=count)

"""Measure how often a random reference of 13 to 19 digits is refused as a card number.

Evertill refuses what looks like a card number, so some honest references made of digits alone are
refused too; the rate is published. Run it with

    python -m benchmarks.card_false_positives --seed 1

It is separate from the benchmarks of speed because its figures depend on no machine.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from typing import Final, NamedTuple

from evertill.domain.cards import DIGITS_MAX, DIGITS_MIN, holds_card_number

REFERENCES_TOTAL: Final = 1_000_000
Z_95: Final = 1.959964


class Rate(NamedTuple):
    """Of `tried` references of one length, `refused` were taken for card numbers."""

    length: str
    tried: int
    refused: int

    def share(self) -> float:
        """Return the refused share."""
        return self.refused / self.tried

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval, which holds for small shares too."""
        share, tried = self.share(), self.tried
        middle = share + Z_95**2 / (2 * tried)
        half = Z_95 * math.sqrt(share * (1 - share) / tried + Z_95**2 / (4 * tried**2))
        scale = 1 + Z_95**2 / tried
        return (middle - half) / scale, (middle + half) / scale


def measure(length: int, tried: int, rng: random.Random) -> Rate:
    """Try `tried` uniformly random references of `length` digits."""
    bound = 10**length
    refused = sum(holds_card_number(f"{rng.randrange(bound):0{length}d}") for _ in range(tried))
    return Rate(str(length), tried, refused)


def measure_all(total: int, seed: int) -> list[Rate]:
    """Spread `total` references evenly over all lengths; the last row is all of them."""
    lengths = range(DIGITS_MIN, DIGITS_MAX + 1)
    rng = random.Random(seed)  # noqa: S311 - the figures must be repeatable.
    share, rest = divmod(total, len(lengths))
    rates = [
        measure(length, share + (position < rest), rng) for position, length in enumerate(lengths)
    ]
    refused = sum(rate.refused for rate in rates)
    return [*rates, Rate("all", sum(rate.tried for rate in rates), refused)]


def main() -> None:
    """Print the table, or the same figures as JSON."""
    parser = argparse.ArgumentParser(description="How often digit references look like cards.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total", type=int, default=REFERENCES_TOTAL)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rates = measure_all(arguments.total, arguments.seed)
    if arguments.json:
        rows = [{**rate._asdict(), "rate": rate.share()} for rate in rates]
        print(json.dumps({"seed": arguments.seed, "rates": rows}))
        return
    print(f"References of random digits that are refused as card numbers (seed {arguments.seed})")
    print(f"{'digits':>6} {'tried':>10} {'refused':>8} {'rate':>8}   95 % interval")
    for rate in rates:
        low, high = rate.interval()
        print(
            f"{rate.length:>6} {rate.tried:>10,} {rate.refused:>8,} {rate.share():>8.3%}"
            f"   {low:.3%} to {high:.3%}"
        )


if __name__ == "__main__":
    main()

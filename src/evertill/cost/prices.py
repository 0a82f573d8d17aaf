"""The price table: read, and every price with its unit, its source and its date.

It is separate from the estimate because prices change while what they are multiplied with does not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec

PRICES: Final = Path(__file__).with_name("prices.toml")
HOURS_PER_MONTH: Final = 730


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit of something costs, and how we know."""

    usd: Decimal
    unit: str
    source: str
    date: date
    status: Literal["seen", "remembered"]


class PriceTable(msgspec.Struct, frozen=True):
    """All prices by name, and the regions that they hold for."""

    regions: frozenset[str]
    prices: Mapping[str, Price]

    @property
    def remembered(self) -> list[str]:
        """The names of the prices that nobody has checked."""
        return sorted(n for n, price in self.prices.items() if price.status == "remembered")

    @property
    def oldest(self) -> date:
        """The date of the price that was looked up longest ago."""
        return min(price.date for price in self.prices.values())


def read_prices(path: Path = PRICES) -> PriceTable:
    """Return the table in a TOML file; raise msgspec.ValidationError for what is no price."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    regions = frozenset(table.pop("regions"))
    return PriceTable(regions, msgspec.convert(table, dict[str, Price]))

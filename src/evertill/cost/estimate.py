"""The estimate: lines times prices, what the month costs, and what is not in it.

It is separate from the command so that programs can have it as data.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from evertill.assembly import read
from evertill.cost import standing, usage
from evertill.cost.prices import PriceTable
from evertill.cost.standing import Line

CENT: Final = Decimal("0.01")

LEFT_OUT: Final = (
    "tasks above the floor, when the service scales out, and the migration's tasks",
    "Container Insights, custom metrics, traces, and reading logs and metrics",
    "flow logs, access logs and the firewall's logs, which grow with traffic",
    "backups beyond the free share, their copies, snapshots",
    "the database's reads that miss memory, and its growth after the first month",
    "key requests, DNS queries, e-mails, events published to the topic",
    "data through NAT gateways and interface endpoints, and between zones",
    "the write lease's requests and storage",
    "the image registry, support plans, taxes; discounts and free tiers",
)


class NoPrice(Exception):
    """The table has no price for something in the templates."""


class Item(msgspec.Struct, frozen=True):
    """A component in a region: what it costs standing, and per million payments."""

    component: str
    region: str
    month_usd: Decimal
    per_million_usd: Decimal


class Estimate(msgspec.Struct, frozen=True):
    """What a deployment costs, and what the estimate does not know."""

    items: list[Item]
    month_usd: Decimal
    per_million_usd: Decimal
    not_priced: list[str]
    left_out: list[str]
    prices_date: str
    prices_remembered: list[str]

    def total_usd(self, payments: int) -> Decimal:
        """Return what a month with so many payments costs."""
        return (self.month_usd + self.per_million_usd * payments / usage.MILLION).quantize(CENT)


def estimate(folder: Path, table: PriceTable) -> Estimate:
    """Estimate the cloud assembly in `folder`.

    Raises NoPrice for a region or class unknown, NotTold for a quantity that the templates leave
    open, and what `assembly.read` raises for a folder that it cannot read.
    """
    model = read(folder)
    lines: list[Line] = []
    not_priced: set[str] = set()
    for resource in model.resources:
        counted = standing.count(resource, model)
        if counted is None:
            not_priced.add(resource.type)
        else:
            lines += counted
    per_million = list(usage.per_million(model))
    items = _items(_sums(lines, table), _sums(per_million, table))
    return Estimate(
        items,
        sum((item.month_usd for item in items), Decimal(0)),
        sum((item.per_million_usd for item in items), Decimal(0)),
        sorted(not_priced),
        list(LEFT_OUT),
        table.oldest.isoformat(),
        sorted({line.price for line in [*lines, *per_million]} & set(table.remembered)),
    )


def _sums(lines: Iterable[Line], table: PriceTable) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = {}
    for line in lines:
        if line.region is None:
            message = f"The templates name no region for: {line.component}; prices go by region."
            raise NoPrice(message)
        if line.region not in table.regions:
            message = f"The price table knows nothing of {line.region}; add its prices."
            raise NoPrice(message)
        if line.price not in table.prices:
            message = f"The price table has no {line.price} ({line.component}); add it."
            raise NoPrice(message)
        key = (line.component, line.region)
        cost = line.quantity * table.prices[line.price].usd
        sums[key] = sums.get(key, Decimal(0)) + cost
    return sums


def _items(
    standing_usd: dict[tuple[str, str], Decimal], usage_usd: dict[tuple[str, str], Decimal]
) -> list[Item]:
    nothing = Decimal(0)
    return [
        Item(
            component,
            region,
            standing_usd.get((component, region), nothing).quantize(CENT),
            usage_usd.get((component, region), nothing).quantize(CENT),
        )
        for component, region in sorted(standing_usd.keys() | usage_usd.keys())
    ]

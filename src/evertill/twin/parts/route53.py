"""How Route 53 answers: which record of several, healthy or not, and what stands behind an alias.

It is pure and separate, so that AWS's documented cases are a table of tests. Health is asked for
through functions; nothing here waits.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from evertill.twin.plan.dns_specs import AliasTarget, Record, absolute

# An alias of a load balancer is answered with this time to live.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
BALANCER_TTL_S: Final = 60
# An answer of several values has up to eight.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-policy-multivalue.html
VALUES_MAX: Final = 8
# Aliases of aliases end somewhere; AWS refuses a circle when the record is made.
ALIASES_MAX: Final = 8


class Balancers(Protocol):
    """The load balancers that aliases may name."""

    def addresses(self, dns_name: str) -> Sequence[str] | None:
        """Return the addresses that a name has now, None for a name of no load balancer."""

    def is_healthy(self, dns_name: str) -> bool:
        """Tell whether the load balancer is healthy as Route 53 evaluates it."""


class Answer(msgspec.Struct, frozen=True):
    """What a question gets: values of a type, for so long, or none.

    `exists` is false when nothing of that name is there at all.
    """

    type: str
    values: tuple[str, ...] = ()
    ttl_s: int = 0
    exists: bool = True


class Resolver:
    """Answers for the records of one zone."""

    def __init__(
        self,
        records: Iterable[Record],
        *,
        is_passing: Callable[[str], bool],
        balancers: Balancers,
        dice: Callable[[], float],
    ) -> None:
        """Answer for `records`.

        `is_passing` tells how a health check is, by id; `dice` gives a number from 0 up to 1.
        """
        self._records: Final = tuple(records)
        self._is_passing = is_passing
        self._balancers = balancers
        self._dice = dice

    def answer(self, name: str, kind: str) -> Answer:
        """Return what a question for `name` and a type gets."""
        return self._answer(absolute(name), kind, ALIASES_MAX)

    def is_healthy(self, record: Record) -> bool:
        """Tell whether a record counts as healthy."""
        return self._is_healthy(record, ALIASES_MAX)

    def _answer(self, name: str, kind: str, aliases_left: int) -> Answer:
        owner = self._owner(name)
        here = [record for record in self._records if record.name == owner]
        if not here:
            return Answer(kind, exists=self._has_below(name))
        # A canonical name is the answer to every type, as nothing else may stand beside it.
        group = [record for record in here if record.type in {kind, "CNAME"}]
        if not group:
            return Answer(kind)
        chosen = self._choose(group, aliases_left)
        if all(record.alias is None for record in chosen):
            values = tuple(value for record in chosen for value in record.values)
            return Answer(chosen[0].type, values, min(record.ttl_s for record in chosen))
        return self._through(chosen[0], kind, aliases_left)

    def _through(self, record: Record, kind: str, aliases_left: int) -> Answer:
        """Return what stands behind an alias, as if it stood there itself."""
        alias = record.alias
        if alias is None or aliases_left == 0:
            return Answer(kind)
        addresses = self._balancers.addresses(alias.dns_name)
        if addresses is None:
            return self._answer(absolute(alias.dns_name), record.type, aliases_left - 1)
        values = tuple(addresses) if record.type == "A" else ()
        return Answer(record.type, values, BALANCER_TTL_S)

    def _choose(self, group: Sequence[Record], aliases_left: int) -> list[Record]:
        """Return the record that answers, or the records where several values do."""
        healthy = [record for record in group if self._is_healthy(record, aliases_left)]
        # "If no record is healthy, all records are healthy."
        candidates = healthy or list(group)
        if any(record.failover for record in group):
            # Both unhealthy, or both healthy: the primary.
            return sorted(candidates, key=lambda record: record.failover != "PRIMARY")[:1]
        if any(record.weight is not None for record in group):
            return [self._by_weight(group, healthy)]
        if any(record.is_multi_value for record in group):
            return self._shuffled(candidates)[:VALUES_MAX]
        return candidates[:1]

    def _by_weight(self, group: Sequence[Record], healthy: Sequence[Record]) -> Record:
        """Draw one. Records of weight zero come in when no other is healthy.

        "Route 53 initially considers only the nonzero weighted records, if any. If all the records
        that have a weight greater than 0 are unhealthy, then Route 53 considers the zero-weighted
        records."
        """
        weighted = [record for record in healthy if record.weight]
        candidates = weighted or list(healthy)
        if not candidates:
            candidates = [record for record in group if record.weight] or list(group)
        # All of weight zero are drawn with equal probability.
        weights = [record.weight or (0 if weighted else 1) for record in candidates]
        drawn = self._dice() * sum(weights)
        for record, weight in zip(candidates, weights, strict=True):
            drawn -= weight
            if drawn < 0:
                return record
        return candidates[-1]

    def _shuffled(self, records: Sequence[Record]) -> list[Record]:
        return sorted(records, key=lambda _: self._dice())

    def _is_healthy(self, record: Record, aliases_left: int) -> bool:
        """Tell whether a record is healthy: its check passes, and its alias's target is well.

        A record that has neither is always healthy.
        """
        if record.health_check and not self._is_passing(record.health_check):
            return False
        if record.alias is None or not record.alias.evaluates_health or aliases_left == 0:
            return True
        return self._is_target_healthy(record.alias, record.type, aliases_left - 1)

    def _is_target_healthy(self, alias: AliasTarget, kind: str, aliases_left: int) -> bool:
        if self._balancers.addresses(alias.dns_name) is not None:
            return self._balancers.is_healthy(alias.dns_name)
        name = absolute(alias.dns_name)
        group = [r for r in self._records if r.name == name and r.type in {kind, "CNAME"}]
        # One healthy record of the group is enough.
        return any(self._is_healthy(record, aliases_left) for record in group)

    def _owner(self, name: str) -> str:
        """Return the name whose records answer: the name itself, or the nearest wildcard.

        A wildcard stands for names of which nothing exists (RFC 4592).
        """
        names = {record.name for record in self._records}
        if name in names or self._has_below(name):
            return name
        labels = name.split(".")
        for cut in range(1, len(labels) - 1):
            above = ".".join(labels[cut:])
            if f"*.{above}" in names:
                return f"*.{above}"
            if above in names or self._has_below(above):
                break
        return name

    def _has_below(self, name: str) -> bool:
        return any(record.name.endswith(f".{name}") for record in self._records)

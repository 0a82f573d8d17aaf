"""The hosted zones as they are now: their records, which the API may change, and their answers.

It is separate from the server, which speaks the protocol, because the API and the console ask the
same things without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from evertill.twin.errors import TwinError
from evertill.twin.parts.route53 import Answer, Balancers, Resolver
from evertill.twin.plan.dns_specs import Record, ZoneSpec, absolute

# What Route 53 puts into every zone.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/SOA-NSrecords.html
SERVER_NAME: Final = "ns-1.awsdns-01.com."
SOA_TTL_S: Final = 900
NS_TTL_S: Final = 172_800
NEGATIVE_TTL_S: Final = 900
SOA: Final = f"{SERVER_NAME} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html
RECORDS_MAX: Final = 10_000


class RecordExists(TwinError):
    """There is such a record already."""

    code = "record_exists"


class RecordMissing(TwinError):
    """There is no such record."""

    code = "record_missing"


class Zone:
    """One hosted zone."""

    def __init__(self, spec: ZoneSpec) -> None:
        """Begin with the records of the templates, and those that every zone has."""
        self.id: Final = spec.id
        self.name: Final = absolute(spec.name)
        self.spec: Final = spec
        self._records = {
            _key(record): record
            for record in (
                Record(name=self.name, type="NS", ttl_s=NS_TTL_S, values=(SERVER_NAME,)),
                Record(name=self.name, type="SOA", ttl_s=SOA_TTL_S, values=(SOA,)),
                *spec.records,
            )
        }

    def records(self) -> tuple[Record, ...]:
        """Return the records in the order of the API: by name from the right, type, set."""
        return tuple(sorted(self._records.values(), key=_order))

    def change(self, changes: Sequence[tuple[str, Record]]) -> None:
        """Create, delete or upsert records, all or none; raise RecordExists or RecordMissing."""
        records = dict(self._records)
        for action, record in changes:
            key = _key(record)
            if action == "CREATE" and key in records:
                message = f"Tried to create {record.name} {record.type} but it already exists"
                raise RecordExists(message)
            if action == "DELETE":
                if records.get(key) != record:
                    message = f"Tried to delete {record.name} {record.type} but it was not found"
                    raise RecordMissing(message)
                del records[key]
            else:
                records[key] = record
        self._records = records


class HostedZones:
    """All zones, and what a question gets from them."""

    def __init__(
        self,
        specs: Sequence[ZoneSpec],
        *,
        is_passing: Callable[[str], bool],
        balancers: Balancers,
        dice: Callable[[], float] | None = None,
    ) -> None:
        """Serve `specs`, with the state of health checks by id and the load balancers' names."""
        self.zones: Final[Mapping[str, Zone]] = {spec.id: Zone(spec) for spec in specs}
        self._is_passing = is_passing
        self._balancers = balancers
        # A draw by weight guards nothing.
        self._dice = dice or random.random

    def zone_of(self, name: str) -> Zone | None:
        """Return the zone that a name belongs to, the one with the longest name."""
        wanted = absolute(name)
        holding = [
            zone
            for zone in self.zones.values()
            if wanted == zone.name or wanted.endswith(f".{zone.name}")
        ]
        return max(holding, key=lambda zone: len(zone.name), default=None)

    def answer(self, name: str, kind: str) -> Answer | None:
        """Return what a question gets, None for a name that no zone holds."""
        addresses = self._balancers.addresses(name.rstrip("."))
        if addresses is not None:
            return Answer("A", tuple(addresses) if kind == "A" else (), 60)
        zone = self.zone_of(name)
        return None if zone is None else self.resolver(zone).answer(name, kind)

    def resolver(self, zone: Zone) -> Resolver:
        """Return what answers for a zone as it is now."""
        return Resolver(
            zone.records(),
            is_passing=self._is_passing,
            balancers=self._balancers,
            dice=self._dice,
        )

    def addresses(self, name: str, depth: int = 8) -> tuple[tuple[str, ...], int]:
        """Return the addresses of a name and for how long, following canonical names."""
        found = self.answer(name, "A")
        if found is None or not found.values:
            return (), NEGATIVE_TTL_S
        if found.type != "CNAME" or depth == 0:
            return found.values, found.ttl_s
        addresses, ttl_s = self.addresses(found.values[0], depth - 1)
        return addresses, min(ttl_s, found.ttl_s)


def _key(record: Record) -> tuple[str, str, str]:
    return record.name, record.type, record.set_identifier


def _order(record: Record) -> tuple[list[str], str, str]:
    return record.name.split(".")[::-1], record.type, record.set_identifier

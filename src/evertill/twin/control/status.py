"""The status document: the whole twin as it is, for the console, the command line and drills.

It is separate from the server because it is made once for all who look at the same moment. It asks
nobody and waits for nothing: all of it is known to the parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from evertill.twin.control.census import Census
from evertill.twin.control.region_status import Document, region_status
from evertill.twin.faults.desk import Desk
from evertill.twin.parts.route53 import Resolver
from evertill.twin.plan.dns_specs import Record
from evertill.twin.running.twin import Twin

# Who watches gets the same document as others who do, within this.
FRESH_S: Final = 0.25
HTTPS_PORT: Final = 443
# Names that lead to names end somewhere.
CHAIN_MAX: Final = 8
INFRASTRUCTURE_TYPES: Final = {"NS", "SOA"}


class Status:
    """Makes the document."""

    def __init__(self, twin: Twin, desk: Desk, url: Callable[[], str]) -> None:
        """Describe `twin`, whose control API is at `url`."""
        self._twin: Final = twin
        self._desk: Final = desk
        self._url: Final = url
        self.census: Final = Census()
        self._encoded = b""
        self._made_s = float("-inf")

    def shared(self) -> bytes:
        """Return the document as JSON, at most FRESH_S old, for all who watch."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._made_s > FRESH_S:
            self._encoded, self._made_s = msgspec.json.encode(self.document()), now_s
        return self._encoded

    def document(self) -> Document:
        """Return the document as it is now."""
        twin, count = self._twin, self.census.latest()
        return {
            "speed": twin.ground.clock.speed,
            "up_s": round(twin.ground.clock.now_s(), 3),
            "memory_mb": count.memory_mb,
            "processes": count.processes,
            "folder": str(twin.ground.folder),
            "door": _door(twin),
            "control": self._url(),
            "regions": {name: region_status(twin, name) for name in twin.regions},
            "dns": {
                "server": f"{twin.server.host}:{twin.server.port}",
                "records": _records(twin),
                "checks": _checks(twin),
            },
            "lease": _lease(twin),
            "links": _links(twin),
            "faults": msgspec.to_builtins(self._desk.active()),
        }


def _door(twin: Twin) -> Document | None:
    if twin.door is None:
        return None
    behind = {listener: port for port, listener in twin.door.doors.ports}
    listener = HTTPS_PORT if HTTPS_PORT in behind else min(behind)
    scheme = "https" if listener == HTTPS_PORT else "http"
    region_of = twin.ground.plan.places.region_of_zones()
    places = twin.door.status()["places"]
    return {
        "url": f"{scheme}://localhost:{behind[listener]}",
        "ca": str(twin.ground.authorities),
        "key": twin.key,
        "answers_from": region_of.get(places[0]) if places else None,
    }


def _records(twin: Twin) -> list[Document]:
    return [
        {
            "name": record.name.rstrip("."),
            "type": record.type,
            "role": record.failover or None,
            "region": _region_of(twin, record),
            "healthy": resolver.is_healthy(record),
            "answers": _answers(twin, resolver, record),
        }
        for zone in twin.zones.zones.values()
        for resolver in [twin.zones.resolver(zone)]
        for record in zone.records()
        if record.type not in INFRASTRUCTURE_TYPES
    ]


def _answers(twin: Twin, resolver: Resolver, record: Record) -> bool:
    """Tell whether what a question gets is this record's."""
    own = set(record.values)
    if record.alias is not None:
        addresses = twin.names.addresses(record.alias.dns_name)
        if addresses is None:
            addresses = resolver.answer(record.alias.dns_name, record.type).values
        own = set(addresses)
    return bool(own & set(resolver.answer(record.name, record.type).values))


def _region_of(twin: Twin, record: Record) -> str | None:
    """Return the region that a record leads to, through aliases and canonical names."""
    named = {
        balancer.spec.dns_name: name
        for name, region in twin.regions.items()
        for balancer in region.balancers
    }
    every = [other for zone in twin.zones.zones.values() for other in zone.records()]
    target = _target_of(record)
    for _ in range(CHAIN_MAX):
        if target in named:
            return named[target]
        target = next((_target_of(other) for other in every if other.name == f"{target}."), "")
    return None


def _target_of(record: Record) -> str:
    """Return the name that a record leads to, empty for one that leads to none."""
    if record.alias is not None:
        return record.alias.dns_name.rstrip(".").lower()
    return record.values[0].rstrip(".").lower() if record.type == "CNAME" else ""


def _checks(twin: Twin) -> list[Document]:
    return [
        {
            "id": check,
            "name": status["name"],
            "healthy": status["is_healthy"],
            "vantage": twin.checker.vantage(check),
        }
        for check, status in twin.checker.status().items()
    ]


def _lease(twin: Twin) -> Document | None:
    """Return who may write, by the one item of a global table that looks like a lease."""
    for spec in twin.shared.tables.specs:
        for item in twin.shared.tables.kept(spec.name):
            if {"region", "epoch", "counter"} <= item.keys():
                return {
                    "region": item["region"]["S"],
                    "epoch": int(item["epoch"]["N"]),
                    "counter": int(item["counter"]["N"]),
                }
    return None


def _links(twin: Twin) -> list[dict[str, Any]]:
    return [
        {
            "from": source,
            "to": target,
            "is_cut": way.is_cut,
            "delay_ms": way.delay_ms,
            "bytes_per_s": way.bytes_per_s,
        }
        for (source, target), way in twin.ground.links.settings().items()
    ]

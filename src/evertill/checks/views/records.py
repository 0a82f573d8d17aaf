"""DNS records by name, and the load balancers that a name leads to.

It is separate because names are the only bridge between the stacks of two regions.
"""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_text
from evertill.checks.views.balancers import BALANCER

RECORD = "AWS::Route53::RecordSet"
RECORD_GROUP = "AWS::Route53::RecordSetGroup"
ZONE = "AWS::Route53::HostedZone"
HEALTH_CHECK = "AWS::Route53::HealthCheck"
HOPS_MAX = 5


def as_name(value: Value) -> str | None:
    """Return a domain name as it is compared: in lower case and without its last dot."""
    name = as_text(value)
    return name.lower().rstrip(".") if name else None


def records_named(model: Model, name: str) -> list[Resource]:
    """Return the records of a name, several when they are weighted, by region or by failover."""
    return [record for record in model.resources_of(RECORD) if as_name(record.get("Name")) == name]


def is_missing(model: Model, name: str) -> bool:
    """Tell whether a name has no record, in a zone that the assembly makes or writes to by name.

    Where a record's own name is not known, nothing is missing: it may be that one. So may one of a
    group of records. Nor is anything missing where no load balancer is in sight: the record may be
    written beside it, in another assembly.
    """
    if model.resources_of(RECORD_GROUP):
        return False
    records = list(model.resources_of(RECORD))
    zones = {as_name(zone.get("Name")) for zone in model.resources_of(ZONE)}
    zones |= {as_name(record.get("HostedZoneName")) for record in records}
    names = {as_name(record.get("Name")) for record in records}
    inside = any(name == zone or name.endswith(f".{zone}") for zone in zones if zone)
    wildcard = any(known and known.startswith(("*.", r"\052.")) for known in names)
    complete = any(True for _ in model.resources_of(BALANCER))
    return complete and inside and not wildcard and None not in names and name not in names


def balancers_behind(model: Model, name: Value, hops: int = HOPS_MAX) -> Iterator[Resource]:
    """Give the load balancers that a name, or a balancer's own name, leads to."""
    for resource in model.referred_by(name):
        if resource.type == BALANCER:
            yield resource
    known = as_name(name)
    if known is None or hops == 0:
        return
    for record in records_named(model, known):
        for target in (record.get("AliasTarget.DNSName"), *record.items("ResourceRecords")):
            yield from balancers_behind(model, target, hops - 1)

"""DNS records by name, and the load balancers that a name leads to.

It is separate because names are the only bridge between the stacks of two regions.
"""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_text
from evertill.checks.views.balancers import BALANCER

RECORD = "AWS::Route53::RecordSet"
HEALTH_CHECK = "AWS::Route53::HealthCheck"
HOPS_MAX = 5


def as_name(value: Value) -> str | None:
    """Return a domain name as it is compared: in lower case and without its last dot."""
    name = as_text(value)
    return name.lower().rstrip(".") if name else None


def records_named(model: Model, name: str) -> list[Resource]:
    """Return the records of a name, several when they are weighted, by region or by failover."""
    return [record for record in model.resources_of(RECORD) if as_name(record.get("Name")) == name]


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

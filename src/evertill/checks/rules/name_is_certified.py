"""The names that lead to a load balancer are on its certificate, the failover name included."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.balancers import SECURE, certificate_names, is_covered, listeners_of
from evertill.checks.views.records import RECORD, as_name, balancers_behind

ADDRESSES = {"A", "AAAA", "CNAME"}


def check(model: Model) -> Iterator[Report]:
    """Follow every record to its load balancers and read their certificates."""
    for record in model.resources_of(RECORD):
        name = as_name(record.get("Name"))
        if name is None or record.text("Type") not in ADDRESSES:
            continue
        targets = (record.get("AliasTarget.DNSName"), *record.items("ResourceRecords"))
        for balancer in {
            b.reference: b for t in targets for b in balancers_behind(model, t)
        }.values():
            yield from _certified(model, record, name, balancer)


def _certified(model: Model, record: Resource, name: str, balancer: Resource) -> Iterator[Report]:
    secure = [item for item in listeners_of(model, balancer) if item.text("Protocol") in SECURE]
    for listener in secure:
        names = certificate_names(model, listener)
        if names and not is_covered(name, names):
            yield Report(
                record,
                f"It leads to {balancer}, whose certificate is for {', '.join(sorted(names))}: "
                f"every client that asks for {name} refuses the connection.",
                f"Add {name} to the certificate's alternative names.",
            )
            return

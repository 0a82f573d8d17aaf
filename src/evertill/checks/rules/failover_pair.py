"""A failover record has a partner, and its primary has a health check that can give it up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.records import RECORD, as_name

# docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-problems.html
# docs.aws.amazon.com/Route53/latest/DeveloperGuide/best-practices-dns.html
TTL_MAX_S = 60


def check(model: Model) -> Iterator[Report]:
    """Look at both records of each failover name."""
    pairs: defaultdict[tuple[str, str | None], list[Resource]] = defaultdict(list)
    for record in model.resources_of(RECORD):
        name = as_name(record.get("Name"))
        if record.has("Failover") and name:
            pairs[name, record.text("Type")].append(record)
    for (name, _), records in pairs.items():
        roles = {record.text("Failover") for record in records}
        if None not in roles and len(roles) == 1:
            yield Report(
                records[0],
                f"{name} has a {roles.pop()} record and no other: there is nothing to fail over "
                "to, or from.",
                "Add the other record of the pair.",
            )
        for record in records:
            yield from _gives_up(record)


def _gives_up(record: Resource) -> Iterator[Report]:
    watched = record.has("HealthCheckId") or record.flag("AliasTarget.EvaluateTargetHealth")
    if record.text("Failover") == "PRIMARY" and watched is False:
        yield Report(
            record,
            "It has no health check and evaluates no target: Route 53 takes it for healthy always, "
            "and never fails over.",
            "Name a HealthCheckId.",
        )
    ttl_s = record.number("TTL")
    if ttl_s is not None and ttl_s > TTL_MAX_S:
        yield Report(
            record,
            f"Resolvers keep its answer for {ttl_s:g} s: clients stay with the lost region that "
            "much longer than the health check takes.",
            f"Set TTL to {TTL_MAX_S} or less.",
        )

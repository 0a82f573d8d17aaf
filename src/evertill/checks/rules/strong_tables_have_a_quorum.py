"""A table with multi-Region strong consistency has the three regions that it needs."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report

TABLE = "AWS::DynamoDB::GlobalTable"
# Three replicas, or two and a witness.
# docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
REGIONS = 3
WITNESSES_MAX = 1


def check(model: Model) -> Iterator[Report]:
    """Count replicas and witnesses, each in a region of its own."""
    for table in model.resources_of(TABLE):
        if table.text("MultiRegionConsistency") != "STRONG":
            continue
        replicas = [as_text(child(item, "Region")) for item in table.items("Replicas")]
        witnesses = [as_text(child(item, "Region")) for item in table.items("GlobalTableWitnesses")]
        if None in {*replicas, *witnesses}:
            continue
        fits = len(witnesses) <= WITNESSES_MAX and len({*replicas, *witnesses}) == REGIONS
        if not fits or len(replicas) + len(witnesses) != REGIONS:
            yield Report(
                table,
                f"It has {len(replicas)} replicas and {len(witnesses)} witnesses: strong "
                "consistency takes three regions, and the table cannot be created.",
                "Use three replicas, or two and a witness in a third region.",
            )

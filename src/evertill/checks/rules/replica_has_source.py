"""A bucket that calls itself a replica has a bucket that replicates to it."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.buckets import BUCKET, takes_logs


def check(model: Model) -> Iterator[Report]:
    """Compare what is promised by name with the replication rules of all buckets."""
    fed = set()
    for bucket in model.resources_of(BUCKET):
        for rule in bucket.items("ReplicationConfiguration.Rules"):
            destination = model.find(child(child(rule, "Destination"), "Bucket"), BUCKET)
            if destination is not None and as_text(child(rule, "Status")) == "Enabled":
                fed.add(destination.reference)
    for bucket in model.resources_of(BUCKET):
        if _is_replica(bucket) and bucket.reference not in fed and not takes_logs(model, bucket):
            yield Report(
                bucket,
                "It is named a replica and no bucket has an enabled rule that replicates to it: it "
                "stays empty.",
                "Add a ReplicationConfiguration rule to the source bucket.",
            )


def _is_replica(bucket: Resource) -> bool:
    named = f"{bucket.logical_id} {bucket.name or ''}".lower()
    return "replica" in named

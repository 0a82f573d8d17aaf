"""Nothing that holds money or opens what holds money is destroyed with its stack."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.buckets import BUCKET, takes_logs
from evertill.checks.views.databases import CLUSTER, INSTANCE

# What CloudFormation does without a DeletionPolicy: it deletes, and snapshots clusters and
# instances outside of clusters first.
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
SNAPSHOTS = {CLUSTER, INSTANCE}
TABLES = {"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"}
KEY = "AWS::KMS::Key"
KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}
EMPTIES = "Custom::S3AutoDeleteObjects"


def check(model: Model) -> Iterator[Report]:
    """Look at what happens to each store on deletion and on replacement."""
    for resource in model.resources:
        if _is_store(model, resource) or _opens_a_store(model, resource):
            yield from _kept(resource)
    for emptier in model.resources_of(EMPTIES):
        bucket = model.find(emptier.get("BucketName"), BUCKET)
        if bucket is not None and _is_store(model, bucket):
            yield Report(
                bucket,
                "A custom resource deletes its objects when the stack goes.",
                "Remove auto-delete from a bucket of record.",
            )


def _kept(resource: Resource) -> Iterator[Report]:
    default = "Snapshot" if resource.type in SNAPSHOTS else "Delete"
    policies = {
        "DeletionPolicy": (resource.deletion_policy, "with its stack"),
        "UpdateReplacePolicy": (resource.update_replace_policy, "with a replacing update"),
    }
    lost = {
        policy: event
        for policy, (value, event) in policies.items()
        if (value or default) not in KEPT
    }
    if lost:
        what = "The key to its data" if resource.type == KEY else "Its data"
        yield Report(
            resource,
            f"{what} is destroyed {' and '.join(lost.values())}.",
            f"Set {' and '.join(lost)} to Retain.",
        )


def _is_store(model: Model, resource: Resource) -> bool:
    if resource.type == INSTANCE:
        # An instance of a cluster holds nothing itself.
        return not resource.has("DBClusterIdentifier")
    if resource.type == BUCKET:
        is_versioned = resource.text("VersioningConfiguration.Status") == "Enabled"
        return bool(
            resource.flag("ObjectLockEnabled")
            or resource.has("ReplicationConfiguration")
            or (is_versioned and not takes_logs(model, resource))
        )
    return resource.type == CLUSTER or resource.type in TABLES


def _opens_a_store(model: Model, resource: Resource) -> bool:
    """Tell whether a key encrypts a store; that of a topic or a log group may go."""
    return resource.type == KEY and any(
        _is_store(model, other) for other in model.referrers(resource)
    )

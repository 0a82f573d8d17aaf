"""Nothing that holds money or opens what holds money is destroyed with its stack."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.checks.findings import Report
from evertill.checks.views.databases import CLUSTER, INSTANCE

# What CloudFormation does without a DeletionPolicy: it deletes, and snapshots clusters and
# instances outside of clusters first.
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
SNAPSHOTS = {CLUSTER, INSTANCE}
TABLES = {"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"}
KEY = "AWS::KMS::Key"
BUCKET = "AWS::S3::Bucket"
KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}
LOSS = "Its data is destroyed"
LOSSES = {KEY: "It is scheduled for deletion, and all it encrypts becomes unreadable,"}
EMPTIES = "Custom::S3AutoDeleteObjects"


def check(model: Model) -> Iterator[Report]:
    """Look at what happens to each store on deletion and on replacement."""
    for resource in model.resources:
        if not _is_store(resource) and not _opens_a_store(model, resource):
            continue
        default = "Snapshot" if resource.type in SNAPSHOTS else "Delete"
        for policy, value, event in (
            ("DeletionPolicy", resource.deletion_policy, "its stack"),
            ("UpdateReplacePolicy", resource.update_replace_policy, "a replacing update"),
        ):
            if (value or default) not in KEPT:
                yield Report(
                    resource,
                    f"{LOSSES.get(resource.type, LOSS)} with {event}.",
                    f"Set {policy} to Retain.",
                )
    for emptier in model.resources_of(EMPTIES):
        bucket = model.find(emptier.get("BucketName"), BUCKET)
        if bucket is not None and _is_store(bucket):
            yield Report(
                bucket,
                "A custom resource deletes its objects when the stack goes.",
                "Remove auto-delete from a bucket of record.",
            )


def _is_store(resource: Resource) -> bool:
    if resource.type == INSTANCE:
        # An instance of a cluster holds nothing itself.
        return not resource.has("DBClusterIdentifier")
    if resource.type == BUCKET:
        return bool(
            resource.flag("ObjectLockEnabled")
            or resource.has("ReplicationConfiguration")
            or resource.text("VersioningConfiguration.Status") == "Enabled"
        )
    return resource.type == CLUSTER or resource.type in TABLES


def _opens_a_store(model: Model, resource: Resource) -> bool:
    """Tell whether a key encrypts a store; that of a topic or a log group may go."""
    return resource.type == KEY and any(map(_is_store, model.referrers(resource)))

"""Replication between buckets has what it needs: versions at both ends, and eyes for ciphertext."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import arn, as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.buckets import BUCKET, ENCRYPTION

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html


def check(model: Model) -> Iterator[Report]:
    """Look at both ends of every enabled replication rule."""
    for source in model.resources_of(BUCKET):
        for rule in source.items("ReplicationConfiguration.Rules"):
            if as_text(child(rule, "Status")) != "Enabled":
                continue
            destination = model.find(child(child(rule, "Destination"), "Bucket"), BUCKET)
            for end in (source, destination):
                if end is not None and not _is_versioned(end):
                    yield Report(
                        end,
                        "It is an end of a replication and keeps no versions: S3 refuses the rule.",
                        "Set VersioningConfiguration.Status to Enabled.",
                    )
            yield from _ciphertext(source, destination, rule)


def _is_versioned(bucket: Resource) -> bool:
    if bucket.flag("ObjectLockEnabled"):
        return True
    status = bucket.get("VersioningConfiguration.Status")
    return status is not None and as_text(status) in {"Enabled", None}


def _ciphertext(source: Resource, destination: Resource | None, rule: Value) -> Iterator[Report]:
    algorithm = source.text(f"{ENCRYPTION}.SSEAlgorithm") or ""
    selection = child(
        child(child(rule, "SourceSelectionCriteria"), "SseKmsEncryptedObjects"), "Status"
    )
    if algorithm.startswith("aws:kms") and as_text(selection, "Disabled") == "Disabled":
        yield Report(
            source,
            "Its objects are encrypted with KMS, which replication passes over unless told "
            "otherwise: nothing is replicated, and nothing complains.",
            "Enable SourceSelectionCriteria.SseKmsEncryptedObjects and name a ReplicaKmsKeyID.",
        )
    encryption = child(child(rule, "Destination"), "EncryptionConfiguration")
    named = arn(child(encryption, "ReplicaKmsKeyID"))
    key_region = named.region if named else None
    home = destination.region if destination else None
    if isinstance(key_region, str) and home and key_region not in {"", home}:
        yield Report(
            source,
            f"The replica's key is in {key_region} and its bucket in {home}: every object fails to "
            "replicate.",
            "Name a key of the destination's region.",
        )

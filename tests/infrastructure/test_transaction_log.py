"""The transaction log: locked, tiered, and copied by each region to the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.assembly import Assembly

REGIONS = ("us-east-1", "us-east-2")
EACH = pytest.mark.parametrize(
    ("region", "peer"), [REGIONS, REGIONS[::-1]], ids=["active", "standby"]
)
BUCKET = "AWS::S3::Bucket"


def log_of(assembly: Assembly, region: str) -> dict[str, Any]:
    buckets = assembly.resources(f"data-{region}", BUCKET)
    (bucket,) = [b["Properties"] for name, b in buckets.items() if "TransactionLog" in name]
    found: dict[str, Any] = bucket
    return found


def spelled(value: Any) -> str:
    """Return a joined value with the account as a word, so that two spellings can be compared."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return {"AWS::AccountId": "ACCOUNT", "AWS::Partition": "aws"}[value["Ref"]]
    return "".join(spelled(part) for part in value["Fn::Join"][1])


@EACH
def test_each_region_copies_to_the_others_bucket(
    assembly: Assembly, region: str, peer: str
) -> None:
    (rule,) = log_of(assembly, region)["ReplicationConfiguration"]["Rules"]
    other = spelled(log_of(assembly, peer)["BucketName"])
    assert "Enabled" == rule["Status"]
    assert f"arn:aws:s3:::{other}" == spelled(rule["Destination"]["Bucket"])


@EACH
def test_copies_are_encrypted_with_the_other_regions_key(
    assembly: Assembly, region: str, peer: str
) -> None:
    (rule,) = log_of(assembly, region)["ReplicationConfiguration"]["Rules"]
    alias = assembly.only(f"keys-{peer}", "AWS::KMS::Alias")["AliasName"]
    key = rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"]
    assert f"arn:aws:kms:{peer}:ACCOUNT:{alias}" == spelled(key)
    assert "Enabled" == rule["SourceSelectionCriteria"]["SseKmsEncryptedObjects"]["Status"]


@EACH
def test_how_late_the_copies_are_is_bounded_and_measured(
    assembly: Assembly, region: str, peer: str
) -> None:
    assert region != peer
    (rule,) = log_of(assembly, region)["ReplicationConfiguration"]["Rules"]
    bound = {"Minutes": 15}
    target = rule["Destination"]
    assert {"Status": "Enabled", "Time": bound} == target["ReplicationTime"]
    assert {"Status": "Enabled", "EventThreshold": bound} == target["Metrics"]


@EACH
def test_the_copying_role_can_read_locks_and_takes_nothing_away(
    assembly: Assembly, region: str, peer: str
) -> None:
    roles = assembly.resources(f"data-{region}", "AWS::IAM::Role")
    (role,) = [r["Properties"] for name, r in roles.items() if "CopyRole" in name]
    said = json.dumps(role["Policies"])
    assert "s3:GetObjectRetention" in said
    assert "s3:GetObjectLegalHold" in said
    assert "Delete" not in said
    assert f"s3.{peer}.amazonaws.com" in said


def test_names_tell_the_replica_from_the_original(prod: Assembly) -> None:
    active, standby = (spelled(log_of(prod, region)["BucketName"]) for region in REGIONS)
    assert "payment-logs-prod-ACCOUNT-us-east-1" == active
    assert "payment-logs-prod-ACCOUNT-us-east-2-replica" == standby


def test_production_locks_its_log_for_400_days(prod: Assembly, dev: Assembly) -> None:
    for region in REGIONS:
        lock = log_of(prod, region)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        assert {"Mode": "COMPLIANCE", "Days": 400} == lock
        assert log_of(dev, region)["ObjectLockEnabled"]


@EACH
def test_the_log_is_versioned_encrypted_private_and_watched(
    assembly: Assembly, region: str, peer: str
) -> None:
    assert region != peer
    bucket = log_of(assembly, region)
    assert "Enabled" == bucket["VersioningConfiguration"]["Status"]
    (default,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert "aws:kms" == default["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
    assert {True} == set(bucket["PublicAccessBlockConfiguration"].values())
    assert "transaction-log/" == bucket["LoggingConfiguration"]["LogFilePrefix"]


@EACH
def test_age_moves_objects_and_only_old_versions_expire(
    assembly: Assembly, region: str, peer: str
) -> None:
    assert region != peer
    (rule,) = log_of(assembly, region)["LifecycleConfiguration"]["Rules"]
    moves = [(move["TransitionInDays"], move["StorageClass"]) for move in rule["Transitions"]]
    assert [(30, "INTELLIGENT_TIERING"), (90, "GLACIER")] == moves
    assert "ExpirationInDays" not in rule
    lock = log_of(assembly, region)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert lock["Days"] <= rule["NoncurrentVersionExpiration"]["NoncurrentDays"]


@EACH
def test_nobody_deletes_and_nobody_comes_without_tls(
    assembly: Assembly, region: str, peer: str
) -> None:
    assert region != peer
    policies = assembly.resources(f"data-{region}", "AWS::S3::BucketPolicy")
    (policy,) = [p["Properties"] for name, p in policies.items() if "TransactionLog" in name]
    denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    everyone = [s for s in denied if s["Principal"] == {"AWS": "*"}]
    assert ["s3:DeleteObject", "s3:DeleteObjectVersion"] in [s["Action"] for s in everyone]
    conditions = [s.get("Condition") for s in everyone]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_the_first_deployment_begins_without_rules(first: Assembly) -> None:
    assert "ReplicationConfiguration" not in log_of(first, "us-east-1")
    assert "ReplicationConfiguration" not in log_of(first, "us-east-2")

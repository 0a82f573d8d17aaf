"""A region's part of the transaction log: its bucket, and the rule that copies it to the other.

It is separate because the two regions' buckets copy to each other: neither is the source, since
roles swap after a failover. The buckets come first and the rules second (`rollout`), because S3
takes no rule to a bucket that does not exist yet.

Objects under 128 KB stay in S3 Standard: moving them costs more than it saves, and S3 leaves them
by default. What is older than 90 days and larger is archived and must be restored before it can be
verified; verification is a nightly job over what is younger.
"""

from __future__ import annotations

from typing import Final, cast

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from evertill.infrastructure.names import Names
from evertill.infrastructure.settings import LogSettings

TIERED_AFTER: Final = Duration.days(30)
ARCHIVED_AFTER: Final = Duration.days(90)
UPLOADS_ABANDONED_AFTER: Final = Duration.days(7)
TLS_VERSION_MIN: Final = 1.2
# The only time that replication time control knows:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html
REPLICATION_TIME_MIN: Final = 15


def build_access_logs(scope: Construct, names: Names, settings: LogSettings) -> s3.Bucket:
    """Return the bucket of access logs, S3's and the load balancer's.

    Load balancers write to buckets with S3's own keys only:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    return s3.Bucket(
        scope,
        "AccessLogs",
        bucket_name=names.access_log_bucket,
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=TLS_VERSION_MIN,
        versioned=True,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="expire",
                expiration=Duration.days(settings.access_log_days),
                noncurrent_version_expiration=Duration.days(1),
                abort_incomplete_multipart_upload_after=UPLOADS_ABANDONED_AFTER,
            )
        ],
        removal_policy=RemovalPolicy.RETAIN,
    )


def build_log(
    scope: Construct, names: Names, settings: LogSettings, key: kms.Key, access_logs: s3.Bucket
) -> s3.Bucket:
    """Return the region's bucket, which takes objects and gives none up before their time."""
    lock = s3.ObjectLockRetention
    locked = lock.compliance if settings.lock_mode == "compliance" else lock.governance
    bucket = s3.Bucket(
        scope,
        "TransactionLog",
        bucket_name=names.log_bucket(),
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        # One call to KMS for many objects instead of one for each.
        bucket_key_enabled=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforce_ssl=True,
        minimum_tls_version=TLS_VERSION_MIN,
        versioned=True,
        object_lock_enabled=True,
        object_lock_default_retention=locked(Duration.days(settings.lock_days)),
        server_access_logs_bucket=access_logs,
        server_access_logs_prefix="transaction-log/",
        lifecycle_rules=[_lifecycle(settings)],
        removal_policy=RemovalPolicy.RETAIN,
    )
    _forbid_deletion(bucket)
    return bucket


def _lifecycle(settings: LogSettings) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="age",
        transitions=[
            s3.Transition(
                storage_class=s3.StorageClass.INTELLIGENT_TIERING, transition_after=TIERED_AFTER
            ),
            s3.Transition(storage_class=s3.StorageClass.GLACIER, transition_after=ARCHIVED_AFTER),
        ],
        noncurrent_version_expiration=Duration.days(settings.noncurrent_days),
        abort_incomplete_multipart_upload_after=UPLOADS_ABANDONED_AFTER,
    )


def _forbid_deletion(bucket: s3.Bucket) -> None:
    # Object Lock keeps versions; this keeps them from being hidden under a delete marker, whatever
    # else a role may do. Lifecycle is S3's own hand and not bound by it.
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="NobodyDeletes",
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
            resources=[bucket.arn_for_objects("*")],
        )
    )


def copy_to(bucket: s3.Bucket, names: Names, key: kms.Key, peer: str) -> None:
    """Copy every object to the other region's bucket, within minutes, and measure how late."""
    target = f"arn:{Aws.PARTITION}:s3:::{names.log_bucket(peer)}"
    target_key = names.arn("kms", names.key_alias, peer)
    role = _build_role(bucket, names, key, peer, target)
    resource = cast("s3.CfnBucket", bucket.node.default_child)
    # The role's rights are inline, so they are in place before S3 is told to use them.
    resource.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
        role=role.role_arn, rules=[_rule(target, target_key)]
    )


def _rule(target: str, target_key: str) -> s3.CfnBucket.ReplicationRuleProperty:
    time = s3.CfnBucket.ReplicationTimeValueProperty(minutes=REPLICATION_TIME_MIN)
    enabled = "Enabled"
    return s3.CfnBucket.ReplicationRuleProperty(
        id="to-the-other-region",
        priority=0,
        status=enabled,
        filter=s3.CfnBucket.ReplicationRuleFilterProperty(prefix=""),
        # Nothing is deleted, so there is nothing to hide over there either.
        delete_marker_replication=s3.CfnBucket.DeleteMarkerReplicationProperty(status="Disabled"),
        source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
            sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(status=enabled),
            # A lock that is prolonged on one side is prolonged on the other.
            replica_modifications=s3.CfnBucket.ReplicaModificationsProperty(status=enabled),
        ),
        destination=s3.CfnBucket.ReplicationDestinationProperty(
            bucket=target,
            encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                replica_kms_key_id=target_key
            ),
            replication_time=s3.CfnBucket.ReplicationTimeProperty(status=enabled, time=time),
            metrics=s3.CfnBucket.MetricsProperty(status=enabled, event_threshold=time),
        ),
    )


def _build_role(bucket: s3.Bucket, names: Names, key: kms.Key, peer: str, target: str) -> iam.Role:
    """Return the role by which S3 copies; its name is fixed, or it and the bucket need each other.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    """
    here = f"arn:{Aws.PARTITION}:s3:::{names.log_bucket()}"
    return iam.Role(
        bucket,
        "CopyRole",
        role_name=names.replication_role,
        description=f"S3 copies the transaction log from {names.region} to {peer}",
        assumed_by=iam.ServicePrincipal(
            "s3.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
        inline_policies={
            "copy": iam.PolicyDocument(
                statements=[
                    *_reads(here),
                    _writes(target),
                    _decrypts(key, names),
                    _encrypts(names, peer),
                ]
            )
        },
    )


def _reads(here: str) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=["s3:GetReplicationConfiguration", "s3:ListBucket"], resources=[here]
        ),
        iam.PolicyStatement(
            actions=[
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionTagging",
                # Both are needed where objects are locked:
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
                "s3:GetObjectRetention",
                "s3:GetObjectLegalHold",
            ],
            resources=[f"{here}/*"],
        ),
    ]


def _writes(target: str) -> iam.PolicyStatement:
    # No s3:ReplicateDelete: this role can add to the other side and take nothing away.
    return iam.PolicyStatement(
        actions=["s3:ReplicateObject", "s3:ReplicateTags"], resources=[f"{target}/*"]
    )


def _decrypts(key: kms.Key, names: Names) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=["kms:Decrypt"],
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"}},
    )


def _encrypts(names: Names, peer: str) -> iam.PolicyStatement:
    # The other region's key has an unknown id and a known alias, which this condition binds to:
    # https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    return iam.PolicyStatement(
        actions=["kms:Encrypt", "kms:GenerateDataKey"],
        resources=[names.arn("kms", "key/*", peer)],
        conditions={
            "StringEquals": {"kms:ViaService": f"s3.{peer}.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias},
        },
    )

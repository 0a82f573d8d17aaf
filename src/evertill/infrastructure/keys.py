"""A region's key for data at rest, and its backup vault: what the other region finds by name.

They are apart, and in a stack of their own that is deployed first in both regions, because the
secret's replica, the copied log and the copied backups all name the *other* region's key or vault.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_backup as backup
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from evertill.infrastructure.names import Names

# Longer than any absence: a key that is gone takes everything with it that it encrypts.
KEY_WINDOW: Final = Duration.days(30)
RECOVERY_POINT_DAYS_MIN: Final = 7


def build_key(scope: Construct, names: Names) -> kms.Key:
    """Return the region's customer-managed key, which AWS rotates every year."""
    key = kms.Key(
        scope,
        "Key",
        alias=names.key_alias,
        description=f"Evertill {names.suffix}: data at rest in {names.region}",
        enable_key_rotation=True,
        pending_window=KEY_WINDOW,
        removal_policy=RemovalPolicy.RETAIN,
    )
    _let_logs_use(key, names)
    let_alarms_use(key)
    return key


def _let_logs_use(key: kms.Key, names: Names) -> None:
    # Log groups call as a service, in the name of nobody; the context binds it to our account:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogGroupsOfThisAccount",
            principals=[iam.ServicePrincipal(f"logs.{names.region}.amazonaws.com")],
            actions=["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*"],
            resources=["*"],
            conditions={
                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}
            },
        )
    )


def let_alarms_use(key: kms.Key) -> None:
    """Let alarms of this account encrypt what they publish under `key`.

    Without it an alarm changes its state and nobody is told, silently. AWS's own key for SNS cannot
    be granted: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsOfThisAccount",
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
    )


def build_vault(scope: Construct, names: Names, key: kms.Key) -> backup.BackupVault:
    """Return the vault of the region's backups and of the copies from the other region."""
    return backup.BackupVault(
        scope,
        "Vault",
        backup_vault_name=names.backup_vault,
        encryption_key=key,
        # Without a grace period this is governance mode: nobody shortens a backup's life by
        # accident, and an account's administrators can still tear an environment down.
        lock_configuration=backup.LockConfiguration(
            min_retention=Duration.days(RECOVERY_POINT_DAYS_MIN)
        ),
        block_recovery_point_deletion=True,
        removal_policy=RemovalPolicy.RETAIN,
    )

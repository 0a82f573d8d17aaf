"""AWS Backup: a daily copy of the database in this region's vault, and another in the other's.

It is separate from `database` because it guards against what replication does not: a mistake is
replicated in a second. Both regions have the plan, since either may hold the writer. AWS Backup
takes Aurora clusters only in regions whose settings opt in, which no template can do (runbook).
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_rds as rds
from constructs import Construct

from evertill.infrastructure.names import Names

# Clear of the clusters' own backup window and of their maintenance, with hours between.
DAILY: Final = {"hour": "11", "minute": "0"}
BEGINS_WITHIN: Final = Duration.hours(1)
ENDS_WITHIN: Final = Duration.hours(6)


def build_backups(
    scope: Construct,
    names: Names,
    vault: backup.BackupVault,
    cluster: rds.DatabaseCluster,
    *,
    days: int,
    peer: str | None,
) -> None:
    """Add the plan; its copies go to the other region's vault, which is known by name."""
    copies = [] if peer is None else [_copy(scope, names, days, peer)]
    plan = backup.BackupPlan(
        scope,
        "BackupPlan",
        backup_plan_name=names.named("backups"),
        backup_vault=vault,
        backup_plan_rules=[
            backup.BackupPlanRule(
                rule_name="daily",
                schedule_expression=events.Schedule.cron(**DAILY),
                start_window=BEGINS_WITHIN,
                completion_window=ENDS_WITHIN,
                delete_after=Duration.days(days),
                copy_actions=copies,
            )
        ],
    )
    plan.add_selection("Database", resources=[backup.BackupResource.from_arn(cluster.cluster_arn)])


def _copy(scope: Construct, names: Names, days: int, peer: str) -> backup.BackupPlanCopyActionProps:
    vault = backup.BackupVault.from_backup_vault_arn(
        scope, "OtherVault", names.arn("backup", f"backup-vault:{names.backup_vault}", peer)
    )
    return backup.BackupPlanCopyActionProps(
        destination_backup_vault=vault, delete_after=Duration.days(days)
    )

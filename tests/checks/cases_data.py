"""How databases, buckets, tables and backups are broken, each in one way."""

from __future__ import annotations

from tests.support.breaking import GONE, Case
from tests.support.platform_network import ref
from tests.support.templates import resource

RULE = "active/Log.Properties.ReplicationConfiguration.Rules.0"
GRANT = "active/TaskPolicy.Properties.PolicyDocument.Statement.0.Resource"
COPY = "active/Plan.Properties.BackupPlan.BackupPlanRule.0.CopyActions.0"
DATABASE = "active/Database.Properties"
STANDBY = "standby/Database.Properties"

CASES = [
    Case(
        "standby-cluster-is-global",
        {f"{STANDBY}.GlobalClusterIdentifier": GONE},
        "Database",
        "it cannot be created",
    ),
    Case(
        "standby-cluster-is-global",
        {f"{STANDBY}.GlobalClusterIdentifier": GONE, f"{STANDBY}.MasterUsername": "admin"},
        "Database",
        "answers from an empty ledger",
    ),
    Case(
        "standby-cluster-is-global",
        {f"{STANDBY}.GlobalClusterIdentifier": "payments-globe"},
        "Database",
        "No global cluster of the assembly",
    ),
    Case(
        "standby-cluster-is-global",
        {
            f"{STANDBY}.GlobalClusterIdentifier": GONE,
            f"{STANDBY}.MasterUsername": "admin",
            f"{DATABASE}.GlobalClusterIdentifier": GONE,
            "global/Global": GONE,
            "dns/Failover1": GONE,
            "dns/Failover2": GONE,
        },
        "Database",
        "answers from an empty ledger",
    ),
    Case(
        "global-cluster-members",
        {f"{STANDBY}.MasterUsername": "admin"},
        "Database",
        "brings users or data of its own",
    ),
    Case(
        "global-cluster-members",
        {f"{STANDBY}.StorageEncrypted": GONE},
        "Database",
        "differ in StorageEncrypted",
    ),
    Case(
        "global-cluster-members",
        {
            "active/Second": resource(
                "AWS::RDS::DBCluster",
                Engine="aurora-postgresql",
                StorageEncrypted=True,
                GlobalClusterIdentifier="payments-global",
            )
        },
        "Second",
        "a region holds one",
    ),
    Case(
        "replica-has-source",
        {"active/Log.Properties.ReplicationConfiguration": GONE},
        "Log",
        "it stays empty",
    ),
    Case("replica-has-source", {f"{RULE}.Status": "Disabled"}, "Log", "it stays empty"),
    Case(
        "replication-is-possible",
        {"standby/Log.Properties.VersioningConfiguration": GONE},
        "Log",
        "keeps no versions",
    ),
    Case(
        "replication-is-possible",
        {f"{RULE}.SourceSelectionCriteria": GONE},
        "Log",
        "nothing is replicated, and nothing complains",
    ),
    Case(
        "replication-is-possible",
        {
            f"{RULE}.Destination.EncryptionConfiguration.ReplicaKmsKeyID": (
                "arn:aws:kms:us-east-1:1:alias/log"
            )
        },
        "Log",
        "key is in us-east-1 and its bucket in us-east-2",
    ),
    Case(
        "iam-database-auth",
        {f"{DATABASE}.EnableIAMDatabaseAuthentication": GONE},
        "Database",
        "every connection is refused",
    ),
    Case(
        "iam-database-auth",
        {GRANT: "arn:aws:rds-db:us-east-1:1:dbuser:payments/payment_user"},
        "TaskPolicy",
        "names the database as payments",
    ),
    Case(
        "money-data-is-kept",
        {"active/Database.DeletionPolicy": "Delete"},
        "Database",
        "destroyed with its stack",
    ),
    Case("money-data-is-kept", {"active/Key.DeletionPolicy": GONE}, "Key", "The key to its data"),
    Case(
        "money-data-is-kept",
        {"active/Log.UpdateReplacePolicy": GONE},
        "Log",
        "destroyed with a replacing update",
    ),
    Case(
        "money-data-is-kept",
        {"active/Emptier": resource("Custom::S3AutoDeleteObjects", BucketName=ref("Log"))},
        "Log",
        "deletes its objects",
    ),
    Case("deletion-protection", {f"{DATABASE}.DeletionProtection": False}, "Database", "One call"),
    Case(
        "deletion-protection",
        {"global/Lease.Properties.Replicas.1.DeletionProtectionEnabled": GONE},
        "Lease",
        "One call",
    ),
    Case(
        "deletion-protection",
        {"active/Balancer.Properties.LoadBalancerAttributes.0.Value": "false"},
        "Balancer",
        "One call",
    ),
    Case(
        "access-logs-arrive",
        {
            "active/AccessLogs.Properties.BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
                ]
            }
        },
        "AccessLogs",
        "its attributes are refused",
    ),
    Case(
        "access-logs-arrive",
        {
            "active/AccessLogs.Properties.ObjectLockConfiguration": {
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}}
            }
        },
        "AccessLogs",
        "none is ever delivered",
    ),
    Case(
        "strong-tables-have-a-quorum",
        {"global/Lease.Properties.GlobalTableWitnesses": GONE},
        "Lease",
        "2 replicas and 0 witnesses",
    ),
    Case("backups-are-taken", {"active/Selection": GONE}, "Plan", "it backs up nothing"),
    Case(
        "backups-are-taken",
        {f"{COPY}.DestinationBackupVaultArn": "arn:aws:backup:us-east-2:1:backup-vault:other"},
        "Plan",
        "every copy fails",
    ),
]

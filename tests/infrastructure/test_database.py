"""The global database: empty, joined by both clusters, and never told who writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.assembly import Assembly

ACTIVE, STANDBY = "data-us-east-1", "data-us-east-2"
BOTH = pytest.mark.parametrize("stack", [ACTIVE, STANDBY])
CLUSTER = "AWS::RDS::DBCluster"
INSTANCE = "AWS::RDS::DBInstance"
GROUP = "AWS::RDS::DBClusterParameterGroup"
ADMIN = "AWS::SecretsManager::Secret"


def text(value: Any) -> str:
    return json.dumps(value)


def test_the_global_cluster_begins_empty(assembly: Assembly) -> None:
    cluster = assembly.only("global-us-east-1", "AWS::RDS::GlobalCluster")
    assert "SourceDBClusterIdentifier" not in cluster
    assert cluster["DeletionProtection"]
    assert cluster["StorageEncrypted"]


@BOTH
def test_both_clusters_join_by_identifier(assembly: Assembly, stack: str) -> None:
    joined = assembly.only("global-us-east-1", "AWS::RDS::GlobalCluster")
    cluster = assembly.only(stack, CLUSTER)
    assert joined["GlobalClusterIdentifier"] == cluster["GlobalClusterIdentifier"]
    assert joined["EngineVersion"] == cluster["EngineVersion"] == "17.7"


def test_the_secondary_has_no_login_no_database_and_no_secret_of_its_own(
    assembly: Assembly,
) -> None:
    cluster = assembly.only(STANDBY, CLUSTER)
    own = {"MasterUsername", "MasterUserPassword", "DatabaseName", "ManageMasterUserPassword"}
    assert not own & cluster.keys()
    assert {} == assembly.resources(STANDBY, ADMIN)
    assert {} == assembly.resources(STANDBY, "AWS::SecretsManager::SecretTargetAttachment")


def test_the_admins_secret_is_replicated_under_the_other_regions_key(assembly: Assembly) -> None:
    secret = assembly.only(ACTIVE, ADMIN)
    (replica,) = secret["ReplicaRegions"]
    alias = assembly.only("keys-us-east-2", "AWS::KMS::Alias")["AliasName"]
    assert {"Region": "us-east-2", "KmsKeyId": alias} == replica
    # A name that ends in a hyphen and six characters could not be found by a partial ARN.
    assert 6 != len(secret["Name"].rpartition("-")[2])


@BOTH
def test_nothing_that_holds_money_goes_with_its_stack(assembly: Assembly, stack: str) -> None:
    kept = [CLUSTER, "AWS::S3::Bucket"]
    for kind in kept:
        for resource in assembly.resources(stack, kind).values():
            assert "Retain" == resource["DeletionPolicy"]
            assert "Retain" == resource["UpdateReplacePolicy"]
    assert assembly.only(stack, CLUSTER)["DeletionProtection"]


@BOTH
def test_each_cluster_is_encrypted_with_its_regions_own_key(assembly: Assembly, stack: str) -> None:
    cluster = assembly.only(stack, CLUSTER)
    region = stack.removeprefix("data-")
    exported = text(assembly.template(f"keys-{region}")["Outputs"])
    assert cluster["StorageEncrypted"]
    assert cluster["KmsKeyId"]["Fn::ImportValue"] in exported


@BOTH
def test_logins_are_by_iam_and_only_over_tls(assembly: Assembly, stack: str) -> None:
    assert assembly.only(stack, CLUSTER)["EnableIAMDatabaseAuthentication"]
    assert "1" == assembly.only(stack, GROUP)["Parameters"]["rds.force_ssl"]


@BOTH
def test_no_template_owns_the_rpo_guard(assembly: Assembly, stack: str) -> None:
    assert "rds.global_db_rpo" not in text(assembly.template(stack))


@BOTH
def test_backups_reach_back_a_week_at_least(assembly: Assembly, stack: str) -> None:
    assert 7 <= assembly.only(stack, CLUSTER)["BackupRetentionPeriod"]


@BOTH
def test_logs_and_insights_are_on(assembly: Assembly, stack: str) -> None:
    cluster = assembly.only(stack, CLUSTER)
    assert ["postgresql"] == cluster["EnableCloudwatchLogsExports"]
    assert cluster["PerformanceInsightsEnabled"]
    groups = assembly.properties(stack, "AWS::Logs::LogGroup")
    name = f"/aws/rds/cluster/{cluster['DBClusterIdentifier']}/postgresql"
    assert [name] == [group["LogGroupName"] for group in groups]


def test_writer_and_reader_are_in_different_zones(assembly: Assembly) -> None:
    instances = assembly.properties(ACTIVE, INSTANCE)
    zones = {text(instance["AvailabilityZone"]) for instance in instances}
    assert 2 == len(instances) == len(zones)


def test_the_standby_is_as_large_as_what_it_takes_over(assembly: Assembly) -> None:
    classes = {
        instance["DBInstanceClass"]
        for stack in (ACTIVE, STANDBY)
        for instance in assembly.properties(stack, INSTANCE)
    }
    assert 1 == len(classes)


@BOTH
def test_an_lts_minor_is_not_upgraded_by_itself(assembly: Assembly, stack: str) -> None:
    instances = assembly.properties(stack, INSTANCE)
    assert {False} == {instance["AutoMinorVersionUpgrade"] for instance in instances}


@BOTH
def test_a_copy_of_each_backup_goes_to_the_other_region(assembly: Assembly, stack: str) -> None:
    peer = "us-east-2" if stack == ACTIVE else "us-east-1"
    plan = assembly.only(stack, "AWS::Backup::BackupPlan")["BackupPlan"]
    (rule,) = plan["BackupPlanRule"]
    (copy,) = rule["CopyActions"]
    vault = assembly.only(f"keys-{peer}", "AWS::Backup::BackupVault")["BackupVaultName"]
    assert f":backup:{peer}:" in text(copy["DestinationBackupVaultArn"])
    assert vault in text(copy["DestinationBackupVaultArn"])
    selected = assembly.only(stack, "AWS::Backup::BackupSelection")["BackupSelection"]["Resources"]
    assert "Database" in text(selected)


def test_the_write_lease_is_agreed_upon_by_three_regions(assembly: Assembly) -> None:
    table = assembly.only("global-us-east-1", "AWS::DynamoDB::GlobalTable")
    assert "STRONG" == table["MultiRegionConsistency"]
    assert [{"Region": "us-west-2"}] == table["GlobalTableWitnesses"]
    replicas = table["Replicas"]
    assert ["us-east-1", "us-east-2"] == sorted(replica["Region"] for replica in replicas)
    for replica in replicas:
        assert replica["DeletionProtectionEnabled"]
        assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    # A strongly consistent table has no time to live.
    assert "TimeToLiveSpecification" not in table


@pytest.mark.parametrize("region", ["us-east-1", "us-east-2"])
def test_keys_are_rotated_and_kept(assembly: Assembly, region: str) -> None:
    (key,) = assembly.resources(f"keys-{region}", "AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"]
    assert "Retain" == key["DeletionPolicy"]

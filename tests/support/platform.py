"""A small payment platform in two regions that breaks no rule, to break one rule at a time.

Two regions with the same stack, a stack for what is global and one for DNS, without cross-region
references: names are the bridge.
"""

from __future__ import annotations

from typing import Any

from tests.support.platform_network import (
    ACTIVE,
    DOMAIN,
    STANDBY,
    Resources,
    att,
    dimensions,
    edge,
    groups,
    network,
    ref,
)
from tests.support.templates import StackFile, resource

DIGEST = "sha256:" + "a" * 64


def container(region: str) -> Resources:
    """Return the container of the service's tasks."""
    return {
        "Name": "app",
        "Image": f"{'1' * 12}.dkr.ecr.{region}.amazonaws.com/evertill@{DIGEST}",
        "PortMappings": [{"ContainerPort": 8080}],
        "StopTimeout": 60,
        "Environment": [
            {"Name": "DATABASE_HOST", "Value": att("Database", "Endpoint.Address")},
            {"Name": "READER_HOST", "Value": att("Database", "ReadEndpoint.Address")},
            {"Name": "LOG_BUCKET", "Value": ref("Log")},
            {"Name": "TOPIC_ARN", "Value": ref("Topic")},
            {"Name": "LEASE_TABLE", "Value": "lease"},
            {"Name": "AWS_REGION", "Value": region},
        ],
    }


def compute(region: str) -> Resources:
    """Return the service and the function."""
    private = [ref("Privatea"), ref("Privateb")]
    service = resource(
        "AWS::ECS::Service",
        ServiceName="payments",
        Cluster=ref("Cluster"),
        TaskDefinition=ref("Task"),
        LoadBalancers=[
            {"ContainerName": "app", "ContainerPort": 8080, "TargetGroupArn": ref("Targets")}
        ],
        NetworkConfiguration={
            "AwsvpcConfiguration": {
                "Subnets": private,
                "SecurityGroups": [att("TaskGroup", "GroupId")],
            }
        },
    )
    service["DependsOn"] = ["Https"]
    return {
        "Cluster": resource(
            "AWS::ECS::Cluster",
            ClusterName="payments",
            ClusterSettings=[{"Name": "containerInsights", "Value": "enhanced"}],
        ),
        "Task": resource(
            "AWS::ECS::TaskDefinition",
            NetworkMode="awsvpc",
            RequiresCompatibilities=["FARGATE"],
            ContainerDefinitions=[container(region)],
        ),
        "Service": service,
        "Scaling": resource(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            ResourceId={"Fn::Join": ["/", ["service", ref("Cluster"), att("Service", "Name")]]},
            MinCapacity=3,
            MaxCapacity=50,
        ),
    }


def functions() -> Resources:
    """Return the function, who may call it, and what the tasks may do."""
    private = [ref("Privatea"), ref("Privateb")]
    return {
        "Function": resource(
            "AWS::Lambda::Function",
            Timeout=30,
            VpcConfig={
                "SubnetIds": private,
                "SecurityGroupIds": [att("FunctionGroup", "GroupId")],
            },
            Environment={"Variables": {"DATABASE_HOST": att("Database", "Endpoint.Address")}},
        ),
        "Permission": resource(
            "AWS::Lambda::Permission",
            FunctionName=att("Function", "Arn"),
            Principal="elasticloadbalancing.amazonaws.com",
        ),
        "TaskPolicy": resource(
            "AWS::IAM::Policy",
            PolicyDocument={
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "rds-db:connect",
                        "Resource": {
                            "Fn::Sub": "arn:aws:rds-db:${AWS::Region}:${AWS::AccountId}:dbuser:"
                            "${Database.DBClusterResourceId}/payment_user"
                        },
                    }
                ]
            },
        ),
    }


def data(region: str) -> Resources:
    """Return databases, buckets, keys and backups."""
    found = {**databases(region), **buckets(region), **backups(region)}
    for store in ("Key", "Database", "Log"):
        found[store] |= {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return found


def databases(region: str) -> Resources:
    """Return the cluster, its instances and its key."""
    origin = {"MasterUsername": "admin"} if region == ACTIVE else {}
    return {
        "Key": resource(
            "AWS::KMS::Key",
            KeyPolicy={
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}}
                ]
            },
        ),
        "Database": resource(
            "AWS::RDS::DBCluster",
            DBClusterIdentifier="payments",
            Engine="aurora-postgresql",
            StorageEncrypted=True,
            GlobalClusterIdentifier="payments-global",
            EnableIAMDatabaseAuthentication=True,
            DeletionProtection=True,
            KmsKeyId=att("Key", "Arn"),
            VpcSecurityGroupIds=[att("DatabaseGroup", "GroupId")],
            **origin,
        ),
        "Writer": resource(
            "AWS::RDS::DBInstance",
            DBClusterIdentifier=ref("Database"),
            DBInstanceClass="db.r7g.xlarge",
        ),
        "Reader": resource(
            "AWS::RDS::DBInstance",
            DBClusterIdentifier=ref("Database"),
            DBInstanceClass="db.r7g.xlarge",
        ),
    }


def buckets(region: str) -> Resources:
    """Return the log, which is replicated both ways, and the bucket of its access log."""
    name = "log" if region == ACTIVE else "log-replica"
    other, other_region = ("log-replica", STANDBY) if region == ACTIVE else ("log", ACTIVE)
    return {
        "AccessLogs": resource("AWS::S3::Bucket"),
        "Log": resource(
            "AWS::S3::Bucket",
            BucketName=name,
            VersioningConfiguration={"Status": "Enabled"},
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
                ]
            },
            LoggingConfiguration={"DestinationBucketName": ref("AccessLogs")},
            ReplicationConfiguration={
                "Rules": [
                    {
                        "Status": "Enabled",
                        "SourceSelectionCriteria": {
                            "SseKmsEncryptedObjects": {"Status": "Enabled"}
                        },
                        "Destination": {
                            "Bucket": f"arn:aws:s3:::{other}",
                            "EncryptionConfiguration": {
                                "ReplicaKmsKeyID": f"arn:aws:kms:{other_region}:1:alias/log"
                            },
                        },
                    }
                ]
            },
        ),
    }


def backups(region: str) -> Resources:
    """Return the plan, whose copies go to the other region's vault."""
    other_region = STANDBY if region == ACTIVE else ACTIVE
    return {
        "Vault": resource("AWS::Backup::BackupVault", BackupVaultName="payments"),
        "Plan": resource(
            "AWS::Backup::BackupPlan",
            BackupPlan={
                "BackupPlanRule": [
                    {
                        "CopyActions": [
                            {
                                "DestinationBackupVaultArn": {
                                    "Fn::Sub": f"arn:aws:backup:{other_region}:${{AWS::AccountId}}"
                                    ":backup-vault:payments"
                                }
                            }
                        ]
                    }
                ]
            },
        ),
        "Selection": resource("AWS::Backup::BackupSelection", BackupPlanId=ref("Plan")),
    }


def alarm(metric: str, comparison: str, **properties: Any) -> dict[str, Any]:
    """Return an alarm that tells the topic."""
    namespace, _, name = metric.rpartition("/")
    given = {
        "Namespace": namespace,
        "MetricName": name,
        "ComparisonOperator": f"{comparison}Threshold",
        "Threshold": 1,
        "Statistic": "Average",
        "AlarmActions": [ref("Topic")],
    }
    return resource("AWS::CloudWatch::Alarm", **{**given, **properties})


def watch() -> Resources:
    """Return the topic and the alarms."""
    return {
        "Topic": resource("AWS::SNS::Topic", KmsMasterKeyId=att("Key", "Arn")),
        "Subscription": resource("AWS::SNS::Subscription", TopicArn=ref("Topic")),
        "TasksAlarm": alarm(
            "ECS/ContainerInsights/RunningTaskCount",
            "LessThan",
            TreatMissingData="breaching",
            Dimensions=dimensions(ClusterName=ref("Cluster"), ServiceName=att("Service", "Name")),
        ),
        "ErrorsAlarm": alarm(
            "AWS/ApplicationELB/HTTPCode_ELB_5XX_Count",
            "GreaterThan",
            TreatMissingData="notBreaching",
            Dimensions=dimensions(LoadBalancer=att("Balancer", "LoadBalancerFullName")),
        ),
        "CpuAlarm": alarm(
            "AWS/RDS/CPUUtilization",
            "GreaterThan",
            Threshold=80,
            Dimensions=dimensions(DBClusterIdentifier=ref("Database")),
        ),
        "LagAlarm": alarm(
            "AWS/RDS/AuroraGlobalDBReplicationLag",
            "GreaterThan",
            Threshold=5000,
            Dimensions=dimensions(DBClusterIdentifier="payments"),
        ),
    }


def regional(region: str) -> Resources:
    """Return all of one region."""
    parts = (
        network(region),
        groups(),
        edge(region),
        compute(region),
        functions(),
        data(region),
        watch(),
    )
    return {name: item for part in parts for name, item in part.items()}


def worldwide() -> Resources:
    """Return the global cluster and the lease table."""
    found = {
        "Global": resource(
            "AWS::RDS::GlobalCluster",
            GlobalClusterIdentifier="payments-global",
            DeletionProtection=True,
        ),
        "Lease": resource(
            "AWS::DynamoDB::GlobalTable",
            TableName="lease",
            MultiRegionConsistency="STRONG",
            Replicas=[
                {"Region": region, "DeletionProtectionEnabled": True}
                for region in (ACTIVE, STANDBY)
            ],
            GlobalTableWitnesses=[{"Region": "us-west-2"}],
        ),
    }
    found["Lease"] |= {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    return found


def names() -> Resources:
    """Return the zone, the health checks and the failover records."""
    found: Resources = {
        "Zone": resource("AWS::Route53::HostedZone", Name="evertill.dev"),
        "DnsTopic": resource("AWS::SNS::Topic", Subscription=[{"Protocol": "email"}]),
        "CheckAlarm": alarm(
            "AWS/Route53/HealthCheckStatus",
            "LessThan",
            Dimensions=dimensions(HealthCheckId=ref(f"Check{ACTIVE[-1]}")),
            AlarmActions=[ref("DnsTopic")],
        ),
    }
    for region, role in ((ACTIVE, "PRIMARY"), (STANDBY, "SECONDARY")):
        found[f"Check{region[-1]}"] = resource(
            "AWS::Route53::HealthCheck",
            HealthCheckConfig={
                "Type": "HTTPS",
                "FullyQualifiedDomainName": f"{region}.{DOMAIN}",
                "ResourcePath": "/ready",
                "EnableSNI": True,
            },
        )
        found[f"Failover{region[-1]}"] = resource(
            "AWS::Route53::RecordSet",
            Name=f"{DOMAIN}.",
            Type="CNAME",
            TTL="30",
            Failover=role,
            SetIdentifier=region,
            HealthCheckId=ref(f"Check{region[-1]}"),
            ResourceRecords=[f"{region}.{DOMAIN}"],
        )
    return found


def platform() -> dict[str, StackFile]:
    """Return the stacks by their ids."""
    return {
        "global": StackFile(worldwide(), id="global"),
        "active": StackFile(regional(ACTIVE), id="active", name="payments"),
        "standby": StackFile(regional(STANDBY), id="standby", region=STANDBY, name="payments"),
        "dns": StackFile(names(), id="dns"),
    }

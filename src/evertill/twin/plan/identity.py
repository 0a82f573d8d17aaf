"""Physical names, ids and ARNs: what AWS would have made up for a resource, made up by a rule.

It is separate because every concern needs names, and all must make the same ones: they are derived
from the stack and the logical id alone, so they are the same in the plan and in every run.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Final

from evertill.assembly import Resource
from evertill.assembly.pseudo import partition

NAME_LENGTH_MAX: Final = 63
# Load balancers and target groups have shorter names than anything else.
SHORT: Final = "AWS::ElasticLoadBalancingV2::"
SHORT_NAME_LENGTH_MAX: Final = 32
HASH_LENGTH: Final = 17

# The form of an ARN's end by type; {name} is the physical name, {id} a made-up id.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
ARNS: Final[Mapping[str, str]] = {
    "AWS::Backup::BackupPlan": "backup:{region}:{account}:backup-plan:{uuid}",
    "AWS::Backup::BackupVault": "backup:{region}:{account}:backup-vault:{name}",
    "AWS::CertificateManager::Certificate": "acm:{region}:{account}:certificate/{uuid}",
    "AWS::CloudWatch::Alarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "AWS::DynamoDB::GlobalTable": "dynamodb:{region}:{account}:table/{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::ECR::Repository": "ecr:{region}:{account}:repository/{name}",
    "AWS::ECS::Cluster": "ecs:{region}:{account}:cluster/{name}",
    "AWS::ECS::TaskDefinition": "ecs:{region}:{account}:task-definition/{name}:1",
    "AWS::ElasticLoadBalancingV2::Listener": (
        "elasticloadbalancing:{region}:{account}:listener/app/{name}/{id16}"
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": (
        "elasticloadbalancing:{region}:{account}:listener-rule/app/{name}/{id16}"
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        "elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{id16}"
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{id16}"
    ),
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{uuid}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::RDS::DBCluster": "rds:{region}:{account}:cluster:{name}",
    "AWS::RDS::DBInstance": "rds:{region}:{account}:db:{name}",
    "AWS::RDS::GlobalCluster": "rds::{account}:global-cluster:{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-{id6}",
    "AWS::WAFv2::WebACL": "wafv2:{region}:{account}:regional/webacl/{name}/{uuid}",
}
# What `Ref` gives where that is no name; "arn" stands for the ARN.
REFS: Final[Mapping[str, str]] = {
    "AWS::Backup::BackupPlan": "{uuid}",
    "AWS::CertificateManager::Certificate": "arn",
    "AWS::EC2::EIP": "198.51.100.{octet}",
    "AWS::EC2::InternetGateway": "igw-{id17}",
    "AWS::EC2::NatGateway": "nat-{id17}",
    "AWS::EC2::RouteTable": "rtb-{id17}",
    "AWS::EC2::SecurityGroup": "sg-{id17}",
    "AWS::EC2::Subnet": "subnet-{id17}",
    "AWS::EC2::VPC": "vpc-{id17}",
    "AWS::EC2::VPCEndpoint": "vpce-{id17}",
    "AWS::ECS::TaskDefinition": "arn",
    "AWS::ElasticLoadBalancingV2::Listener": "arn",
    "AWS::ElasticLoadBalancingV2::ListenerRule": "arn",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "arn",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "arn",
    "AWS::IAM::ManagedPolicy": "arn",
    "AWS::KMS::Key": "{uuid}",
    "AWS::Route53::HealthCheck": "{uuid}",
    "AWS::Route53::HostedZone": "Z{ID20}",
    "AWS::SNS::Topic": "arn",
    "AWS::SecretsManager::Secret": "arn",
    "AWS::WAFv2::WebACL": "{name}|{uuid}|REGIONAL",
}
# Attributes besides `Arn`; "ref" stands for what `Ref` gives.
ATTRIBUTES: Final[Mapping[tuple[str, str], str]] = {
    ("AWS::EC2::EIP", "AllocationId"): "eipalloc-{id17}",
    ("AWS::EC2::NatGateway", "NatGatewayId"): "ref",
    ("AWS::EC2::SecurityGroup", "GroupId"): "ref",
    ("AWS::EC2::SecurityGroup", "Id"): "ref",
    ("AWS::EC2::Subnet", "SubnetId"): "ref",
    ("AWS::EC2::VPC", "VpcId"): "ref",
    ("AWS::EC2::VPC", "DefaultSecurityGroup"): "sg-{id17}",
    ("AWS::ECS::Service", "Name"): "{name}",
    ("AWS::ECS::TaskDefinition", "TaskDefinitionArn"): "arn",
    ("AWS::ElasticLoadBalancingV2::Listener", "ListenerArn"): "arn",
    ("AWS::ElasticLoadBalancingV2::ListenerRule", "RuleArn"): "arn",
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerArn"): "arn",
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerFullName"): "app/{name}/{id16}",
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerName"): "{name}",
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupArn"): "arn",
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupFullName"): (
        "targetgroup/{name}/{id16}"
    ),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupName"): "{name}",
    ("AWS::IAM::Role", "RoleId"): "AROA{ID17}",
    ("AWS::KMS::Key", "KeyId"): "{uuid}",
    ("AWS::RDS::DBCluster", "DBClusterArn"): "arn",
    ("AWS::RDS::DBCluster", "DBClusterResourceId"): "cluster-{ID26}",
    ("AWS::RDS::DBInstance", "DBInstanceArn"): "arn",
    ("AWS::RDS::DBInstance", "DbiResourceId"): "db-{ID26}",
    ("AWS::Route53::HealthCheck", "HealthCheckId"): "ref",
    ("AWS::Route53::HostedZone", "Id"): "ref",
    ("AWS::SNS::Topic", "TopicArn"): "arn",
    ("AWS::SNS::Topic", "TopicName"): "{name}",
    ("AWS::SQS::Queue", "QueueName"): "{name}",
    ("AWS::SecretsManager::Secret", "Id"): "arn",
}
# AWS keeps these in lower case, and some take no other.
LOWER_CASE: Final = ("AWS::RDS::", "AWS::S3::")


def physical_name(resource: Resource) -> str:
    """Return the name that the template gives, or one made of the stack and the logical id."""
    if isinstance(resource.name, str):
        return resource.name
    length = SHORT_NAME_LENGTH_MAX if resource.type.startswith(SHORT) else NAME_LENGTH_MAX
    digest = _digest(resource)[:8]
    made = f"{resource.stack}-{resource.logical_id}"[: length - len(digest) - 1] + f"-{digest}"
    return made.lower() if resource.type.startswith(LOWER_CASE) else made


def arn_of(resource: Resource) -> str | None:
    """Return the ARN of a resource, None for a type whose ARNs have no known form."""
    form = ARNS.get(resource.type)
    return None if form is None else f"arn:{partition(resource.region)}:{_filled(form, resource)}"


def value_of(resource: Resource, attribute: str) -> str | None:
    """Return what `Ref` or an attribute of a resource reads, None where no rule tells."""
    if resource.type == "AWS::ECS::Service" and attribute in {"Ref", "Arn"}:
        return None  # It names its cluster, which is another resource.
    if attribute == "Ref":
        form = REFS.get(resource.type, "{name}")
    elif attribute == "Arn":
        form = "arn"
    else:
        form = ATTRIBUTES.get((resource.type, attribute), "")
    if form == "ref":
        return value_of(resource, "Ref")
    if form == "arn":
        return arn_of(resource)
    return _filled(form, resource) if form else None


def _filled(form: str, resource: Resource) -> str:
    digest = _digest(resource)
    return form.format(
        region=resource.region,
        account=resource.account,
        name=physical_name(resource),
        id6=digest[:6],
        id16=digest[:16],
        id17=digest[:HASH_LENGTH],
        ID17=digest[:HASH_LENGTH].upper(),
        ID20=digest[:20].upper(),
        ID26=digest[:26].upper(),
        octet=int(digest[:2], 16),
        uuid=uuid.UUID(digest[:32]),
    )


def _digest(resource: Resource) -> str:
    return hashlib.sha256(f"{resource.stack}/{resource.logical_id}".encode()).hexdigest()

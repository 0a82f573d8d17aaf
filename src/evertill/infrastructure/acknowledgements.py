"""The findings of cfn-lint, cdk-nag and checkov that we accept, each narrow and with its reason.

They are tables, and not calls beside the constructs, so that a reader sees all of them at once and
a test can say of each that it is still needed. Rules that name what they found, as
`AwsSolutions-IAM5[Resource::*]` does, are acknowledged with that name and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from evertill.infrastructure.settings import Settings

CFN_LINT: Final = "cfn-lint"
CDK_NAG: Final = "cdk-nag"
CHECKOV: Final = "checkov"
_CFN_LINT_RULE: Final = re.compile(r"[EW]\d{4}")


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that do not hold at certain constructs, all for one reason."""

    stack: str
    """A pattern for the stacks' ids, because ids hold the region."""
    paths: tuple[str, ...]
    """The constructs' paths within the stack; the resources below each are meant."""
    rules: tuple[str, ...]
    """Rules' names, in which {suffix}, {account}, {active} and {standby} stand for settings."""
    reason: str


class Exemption(msgspec.Struct, frozen=True):
    """One rule of one tool at one construct: the smallest thing that can be acknowledged."""

    tool: str
    rule: str
    stack: str
    path: str
    reason: str
    listed_as: str
    """The rule as the list has it, the same for all environments."""


# A role's own rights, which nothing else can take and which go when it goes.
_INLINE: Final = "The policy is this one role's: nothing else can be given it, and it goes with it."


def _in_both(rule: str) -> tuple[str, str]:
    """Return the rule's names in the packs that share it."""
    return f"NIST.800.53.R5-{rule}", f"PCI.DSS.321-{rule}"


ACKNOWLEDGEMENTS: Final[tuple[Acknowledgement, ...]] = (
    Acknowledgement(
        stack="network-*",
        paths=("BalancerGroup/Resource",),
        rules=("AwsSolutions-EC23", "CKV_AWS_260"),
        reason="The load balancer is the public API: anyone may call 443, and 80 only redirects.",
    ),
    Acknowledgement(
        stack="network-*",
        paths=tuple(f"Vpc/publicSubnet{number}/DefaultRoute" for number in (1, 2, 3)),
        rules=_in_both("VPCNoUnrestrictedRouteToIGW"),
        reason="The public subnets hold the load balancer and the NAT gateways and nothing else.",
    ),
    Acknowledgement(
        stack="network-*",
        paths=("Custom::VpcRestrictDefaultSGCustomResourceProvider/Handler",),
        rules=("CKV_AWS_115", "CKV_AWS_116", "CKV_AWS_117", "W3005"),
        reason="The CDK's own function: CloudFormation calls it in a deployment, nobody else.",
    ),
    Acknowledgement(
        stack="network-*",
        paths=("Vpc/FlowLog/IAMRole/DefaultPolicy/Resource",),
        rules=_in_both("IAMNoInlinePolicy"),
        reason=_INLINE,
    ),
    Acknowledgement(
        stack="data-*",
        paths=("TransactionLog/CopyRole/Resource",),
        rules=_in_both("IAMNoInlinePolicy"),
        reason=_INLINE,
    ),
    Acknowledgement(
        stack="data-*",
        paths=("TransactionLog/CopyRole/Resource",),
        rules=(
            (
                "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::"
                "payment-logs-{suffix}-{account}-{active}/*]"
            ),
            (
                "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::"
                "payment-logs-{suffix}-{account}-{standby}-replica/*]"
            ),
        ),
        reason="S3 copies every object of one bucket to one other; /* is all of their objects.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("TransactionLog/CopyRole/Resource",),
        rules=(
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:{active}:{account}:key/*]",
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:{standby}:{account}:key/*]",
        ),
        reason="The other region's key has an id nobody can foretell; its alias is a condition.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("BackupPlan/Database/Role/Resource",),
        rules=(
            (
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/"
                "service-role/AWSBackupServiceRolePolicyForBackup]"
            ),
        ),
        reason="AWS Backup's own policy, which AWS extends as Backup needs more.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("Database/MonitoringRole/Resource",),
        rules=(
            (
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/"
                "service-role/AmazonRDSEnhancedMonitoringRole]"
            ),
        ),
        reason="AWS's own policy for this role; it writes the RDSOSMetrics logs and no more.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("Database/Instance1/Resource", "Database/Instance2/Resource"),
        rules=("NIST.800.53.R5-RDSInBackupPlan",),
        reason="The plan backs up the cluster; its instances hold no data of their own.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("Database/Instance1/Resource", "Database/Instance2/Resource"),
        rules=("PCI.DSS.321-RDSAutomaticMinorVersionUpgradeEnabled",),
        reason="A global database is upgraded by hand, the secondary first; AWS skips it anyway.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("AdminSecret/Resource",),
        rules=("AwsSolutions-SMG4", "NIST.800.53.R5-SecretsManagerRotationEnabled"),
        reason=(
            "The migration alone uses it. A rotation lives in one region and the writer moves to "
            "the other, so it is changed by hand (docs/runbooks/deploy.md)."
        ),
    ),
    Acknowledgement(
        stack="data-*",
        paths=("AccessLogs/Resource",),
        rules=_in_both("S3DefaultEncryptionKMS"),
        reason="Load balancers write access logs to buckets with S3's own keys only.",
    ),
    Acknowledgement(
        stack="data-*",
        paths=("AccessLogs/Resource",),
        rules=(*_in_both("S3BucketReplicationEnabled"), "CKV_AWS_18"),
        reason="It holds the access logs themselves, which tell of this region only.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=(
            "Compute/Task/Role/DefaultPolicy/Resource",
            "Compute/Task/StartRole/DefaultPolicy/Resource",
            "Validation/Role/DefaultPolicy/Resource",
        ),
        rules=_in_both("IAMNoInlinePolicy"),
        reason=_INLINE,
    ),
    Acknowledgement(
        stack="migration-*",
        paths=(
            "Migration/Task/Role/DefaultPolicy/Resource",
            "Migration/Task/StartRole/DefaultPolicy/Resource",
        ),
        rules=_in_both("IAMNoInlinePolicy"),
        reason=_INLINE,
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Compute/Task/StartRole/DefaultPolicy/Resource",),
        rules=("AwsSolutions-IAM5[Resource::*]",),
        reason="ecr:GetAuthorizationToken knows no resources; the images are named beside it.",
    ),
    Acknowledgement(
        stack="migration-*",
        paths=("Migration/Task/StartRole/DefaultPolicy/Resource",),
        rules=("AwsSolutions-IAM5[Resource::*]",),
        reason="ecr:GetAuthorizationToken knows no resources; the images are named beside it.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Compute/Task/Role/DefaultPolicy/Resource",),
        rules=(
            (
                "AwsSolutions-IAM5[Resource::payment-data-{suffix}:"
                "ExportsOutputFnGetAttTransactionLog88174418Arn6B3465F1/*]"
            ),
        ),
        reason="The service writes objects of names yet to come into this one bucket.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Compute/Task/Definition/Resource",),
        rules=("AwsSolutions-ECS2",),
        reason="The variables are names of resources; what is secret is read with the role.",
    ),
    Acknowledgement(
        stack="migration-*",
        paths=("Migration/Task/Definition/Resource",),
        rules=("AwsSolutions-ECS2",),
        reason="The variables are names of resources; what is secret is read with the role.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Validation/Role/DefaultPolicy/Resource",),
        rules=(
            (
                "AwsSolutions-IAM5[Resource::payment-data-{suffix}:"
                "ExportsOutputFnGetAttTransactionLog88174418Arn6B3465F1/*]"
            ),
        ),
        reason="The function writes objects of names yet to come into this one bucket.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Validation/Role/DefaultPolicy/Resource",),
        rules=("AwsSolutions-IAM5[Resource::*]", "CKV_AWS_111"),
        reason=(
            "Lambda makes interfaces and traces, which know no narrower resources; the function's "
            "own code is denied the interfaces."
        ),
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Validation/Function/Resource",),
        rules=("NIST.800.53.R5-LambdaDLQ", "CKV_AWS_116"),
        reason="A load balancer waits for the answer: no call is queued, so none is ever dead.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Validation/Function/Resource",),
        rules=("AwsSolutions-L1",),
        reason="Its wheels are locked for Python 3.13, as the image is, which Lambda runs to 2029.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Validation/Function/Resource",),
        rules=("W3005",),
        reason="The CDK says twice that a function needs its role, which does no harm.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Edge/Balancer/Http/Resource",),
        rules=_in_both("ELBv2ACMCertificateRequired"),
        reason="Port 80 only redirects to 443, so it has nothing to encrypt.",
    ),
    Acknowledgement(
        stack="service-*",
        paths=("Compute/Service/TaskCount/Target/Requests/Resource",),
        rules=("W3005",),
        reason="The CDK says twice that the policy needs the listener, which does no harm.",
    ),
    Acknowledgement(
        stack="watch-*",
        paths=(
            "Alarms/db-replication-silent-signal/Resource",
            "Alarms/db-replication-silent-signal-by-cluster/Resource",
            "Alarms/region-writer/Resource",
        ),
        rules=("NIST.800.53.R5-CloudWatchAlarmAction",),
        reason="A signal that composite alarms combine; they tell people, it alone means nothing.",
    ),
    Acknowledgement(
        stack="dns-*",
        paths=("Front/Queries/Resource",),
        rules=(*_in_both("CloudWatchLogGroupEncrypted"), "CKV_AWS_158"),
        reason="It holds public names and resolvers' addresses, under CloudWatch's own key.",
    ),
)


def exemptions(
    settings: Settings, listed: Sequence[Acknowledgement] = ACKNOWLEDGEMENTS
) -> Iterator[Exemption]:
    """Return what is acknowledged in an environment, one rule and one construct at a time."""
    facts = {
        "suffix": settings.suffix,
        "account": settings.account or "<AWS::AccountId>",
        "active": settings.active.name,
        "standby": settings.standby.name if settings.standby else "none",
    }
    for one in listed:
        for path in one.paths:
            for rule in one.rules:
                named = rule.format_map(facts)
                yield Exemption(tool_of(rule), named, one.stack, path, one.reason, rule)


def tool_of(rule: str) -> str:
    """Return the name of the tool that a rule belongs to."""
    if rule.startswith("CKV"):
        return CHECKOV
    return CFN_LINT if _CFN_LINT_RULE.fullmatch(rule) else CDK_NAG

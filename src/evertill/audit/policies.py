"""The IAM policies of the templates, held against parliament and cloudsplaining.

It is separate because these tools read policies and not templates: references become ARNs of the
right shape first, and what cannot be made an ARN is refused, never skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from evertill.assembly import Model, Reference, Resource, Text, Unknown, Value
from evertill.assembly.model import child
from evertill.assembly.values import REF
from evertill.audit.findings import AuditError, Finding
from evertill.audit.programs import LINT_ENVIRONMENT, run_tool

PROBE: Final = Path(__file__).with_name("policy_probe.py")
ACCOUNT: Final = "111122223333"
# What the model does not know of an assembly that names no account.
PSEUDO: Final = {"AWS::AccountId": ACCOUNT}
# What a reference to a resource's ARN becomes: {id} is its logical id.
ARNS: Final = {
    "AWS::Backup::BackupVault": "arn:aws:backup:{region}:{account}:backup-vault:{id}",
    "AWS::DynamoDB::GlobalTable": "arn:aws:dynamodb:{region}:{account}:table/{id}",
    "AWS::ECS::Cluster": "arn:aws:ecs:{region}:{account}:cluster/{id}",
    "AWS::ECS::TaskDefinition": "arn:aws:ecs:{region}:{account}:task-definition/{id}:1",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{id}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{id}",
    "AWS::KMS::ReplicaKey": "arn:aws:kms:{region}:{account}:key/{id}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{id}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{id}:*",
    "AWS::RDS::DBCluster": "arn:aws:rds:{region}:{account}:cluster:{id}",
    "AWS::S3::Bucket": "arn:aws:s3:::{id}",
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{id}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{id}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:{region}:{account}:secret:{id}-a1b2c3",
}
# Their Ref is the ARN; everyone else's is a name.
REF_IS_ARN: Final = {
    "AWS::ECS::TaskDefinition",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::SecretTargetAttachment",
}
# An attachment's ARN is its secret's.
ARN_AS: Final = {
    "AWS::SecretsManager::SecretTargetAttachment": "AWS::SecretsManager::Secret",
}
ARN_ATTRIBUTES: Final = {"Arn", "TopicArn", "BackupVaultArn", "DBClusterArn", "TableArn"}


def policies(model: Model) -> Iterator[tuple[str, Any]]:
    """Return every identity policy of an assembly: the path of its construct, and the document."""
    for resource in model.resources:
        documents: list[Value] = []
        if resource.type in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
            documents = [resource.get("PolicyDocument")]
        elif resource.type in {"AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"}:
            documents = [child(one, "PolicyDocument") for one in resource.items("Policies")]
        for document in documents:
            yield resource.path, _plain(document, resource, model)


def check_policies(model: Model, environment: str) -> Iterator[Finding]:
    """Return what parliament and cloudsplaining find in the policies of one assembly."""
    found = list(policies(model))
    if not found:
        return
    answer = run_tool(
        [LINT_ENVIRONMENT / "bin" / "python", "-W", "ignore", PROBE],
        given=json.dumps([document for _, document in found]),
    )
    for number, tool, rule, message in answer:
        yield Finding(environment, tool, rule, found[number][0], message)


def _plain(value: Value, policy: Resource, model: Model) -> Any:  # noqa: ANN401 - JSON out.
    """Return `value` as plain JSON: references become what they will look like once deployed."""
    match value:
        case list():
            return [_plain(item, policy, model) for item in value]
        case dict():
            return {key: _plain(item, policy, model) for key, item in value.items()}
        case Text(parts=parts):
            return "".join(_plain(part, policy, model) for part in parts)
        case Reference():
            return _referred(value, model)
        case Unknown(reason=reason):
            if reason in PSEUDO:
                return PSEUDO[reason]
            message = f"{policy.path} has a policy that the templates do not tell: {reason}."
            raise AuditError(message)
    return value


def _referred(reference: Reference, model: Model) -> str:
    resource = model.resource(reference)
    if resource is None:
        message = f"{reference} is not in the templates of every deployment."
        raise AuditError(message)
    if reference.attribute in ARN_ATTRIBUTES:
        return _arn(resource)
    if reference.attribute != REF:
        return f"{resource.logical_id}-{reference.attribute}"
    return _arn(resource) if resource.type in REF_IS_ARN else resource.logical_id


def _arn(resource: Resource) -> str:
    kind = ARN_AS.get(resource.type, resource.type)
    if kind not in ARNS:
        message = f"The ARN of {resource.path} ({kind}) has no known shape."
        raise AuditError(message)
    return ARNS[kind].format(region=resource.region, account=ACCOUNT, id=resource.logical_id)

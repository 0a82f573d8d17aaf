"""The IAM policies of the templates, held against parliament and cloudsplaining.

It is separate because these tools read policies and not templates: intrinsic functions become ARNs
of the right shape first, and what cannot be made an ARN is refused, never skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertill.audit.findings import AuditError, Finding
from evertill.audit.programs import LINT_ENVIRONMENT, run_tool
from evertill.audit.templates import Template

PROBE: Final = Path(__file__).with_name("policy_probe.py")
ACCOUNT: Final = "111122223333"
PSEUDO: Final = {
    "AWS::Partition": "aws",
    "AWS::AccountId": ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
    "AWS::StackId": f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/stack/1",
}
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
ARN_ATTRIBUTES: Final = {"Arn", "TopicArn", "BackupVaultArn", "DBClusterArn", "TableArn"}


class Resolver:
    """Makes plain text of the intrinsic functions in one template's policies."""

    def __init__(self, template: Template, assembly: Sequence[Template]) -> None:
        """Read references within `template`, and imports from the rest of its assembly."""
        self.template = template
        self.assembly = assembly
        self.types = {name: kind for name, kind, _ in template.resources()}

    def resolve(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out.
        """Return `value` without intrinsic functions."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        return {key: self.resolve(item) for key, item in value.items()}

    def _call(self, name: str, argument: Any) -> Any:  # noqa: ANN401 - as above.
        match name:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::Join":
                return argument[0].join(self.resolve(part) for part in argument[1])
            case "Fn::ImportValue":
                return self._import(self.resolve(argument))
            case "Fn::Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
        message = f"{self.template.stack} uses {name} in a policy, which cannot be resolved."
        raise AuditError(message)

    def _ref(self, name: str) -> str:
        if name == "AWS::Region":
            return self.template.region
        if name in PSEUDO:
            return PSEUDO[name]
        return self._arn(name) if self.types.get(name) in REF_IS_ARN else name

    def _attribute(self, name: str, attribute: str) -> str:
        return self._arn(name) if attribute in ARN_ATTRIBUTES else f"{name}-{attribute}"

    def _arn(self, name: str) -> str:
        kind = self.types.get(name, "an unknown resource")
        if kind == "AWS::SecretsManager::SecretTargetAttachment":
            kind = "AWS::SecretsManager::Secret"
        if kind not in ARNS:
            message = f"The ARN of {self.template.place(name)} ({kind}) has no known shape."
            raise AuditError(message)
        return ARNS[kind].format(region=self.template.region, account=ACCOUNT, id=name)

    def _import(self, export: str) -> Any:  # noqa: ANN401 - as above.
        for template in self.assembly:
            for output in template.body.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == export:
                    return Resolver(template, self.assembly).resolve(output["Value"])
        message = f"{self.template.stack} imports {export}, which no stack exports."
        raise AuditError(message)


def policies(assembly: Sequence[Template]) -> Iterator[tuple[str, Any]]:
    """Return every identity policy of an assembly: the place of its construct, and the document."""
    for template in assembly:
        resolver = Resolver(template, assembly)
        for logical_id, kind, properties in template.resources():
            documents = []
            if kind in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
                documents = [properties["PolicyDocument"]]
            elif kind in {"AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"}:
                documents = [one["PolicyDocument"] for one in properties.get("Policies", [])]
            for document in documents:
                yield template.place(logical_id), resolver.resolve(document)


def check_policies(assembly: Sequence[Template]) -> Iterator[Finding]:
    """Return what parliament and cloudsplaining find in the policies of one assembly."""
    found = list(policies(assembly))
    if not found:
        return
    environment = assembly[0].environment
    answer = run_tool(
        [LINT_ENVIRONMENT / "bin" / "python", "-W", "ignore", PROBE],
        given=json.dumps([document for _, document in found]),
    )
    for number, tool, rule, message in answer:
        yield Finding(environment, tool, rule, found[number][0], message)

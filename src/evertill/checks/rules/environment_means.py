"""An environment variable holds what its name says: an ARN, a URL, the reader, the writer."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Reference, Resource
from evertill.checks.findings import Report
from evertill.checks.views.containers import FUNCTION, TASK, environment_of
from evertill.checks.views.databases import CLUSTER

# What Ref returns, where it is not the name.
# The section "Return values" of each type:
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html
REF_RETURNS = {
    "AWS::SNS::Topic": "ARN",
    "AWS::SQS::Queue": "URL",
    "AWS::SecretsManager::Secret": "ARN",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "ARN",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "ARN",
    "AWS::StepFunctions::StateMachine": "ARN",
    "AWS::ECS::Service": "ARN",
    "AWS::ECS::TaskDefinition": "ARN",
    "AWS::S3::Bucket": "name",
    "AWS::DynamoDB::Table": "name",
    "AWS::DynamoDB::GlobalTable": "name",
    "AWS::Lambda::Function": "name",
    "AWS::Logs::LogGroup": "name",
    "AWS::ECS::Cluster": "name",
    "AWS::Kinesis::Stream": "name",
    "AWS::RDS::DBCluster": "name",
    "AWS::RDS::DBInstance": "name",
}
# Their APIs take an ARN wherever they take a name.
TAKE_EITHER = {
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    "AWS::ECS::Cluster",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::Lambda::Function",
    "AWS::SecretsManager::Secret",
}
ATTRIBUTE_RETURNS = {
    "Arn": "ARN",
    "Endpoint.Address": "host",
    "ReadEndpoint.Address": "host",
    "Endpoint.Port": "port",
    "DNSName": "host",
}
ENDS = {
    "_ARN": "ARN",
    "_URL": "URL",
    "_NAME": "name",
    "_BUCKET": "name",
    "_TABLE": "name",
    "_HOST": "host",
    "_HOSTNAME": "host",
    "_PORT": "port",
}
WRITER, READER = "Endpoint.Address", "ReadEndpoint.Address"


def check(model: Model) -> Iterator[Report]:
    """Compare the end of each name with what its reference returns."""
    for runner in model.resources_of(TASK, FUNCTION):
        for name, value in environment_of(runner):
            target = model.resource(value)
            if isinstance(value, Reference) and target is not None:
                yield from _kinds(runner, name, value, target)


def _kinds(runner: Resource, name: str, value: Reference, target: Resource) -> Iterator[Report]:
    # A DOMAIN_NAME or a HOST_NAME may well hold a host.
    is_domain = name.endswith(("DOMAIN_NAME", "HOST_NAME", "DNS_NAME"))
    wanted = next((kind for end, kind in ENDS.items() if name.endswith(end)), None)
    wanted = "host" if is_domain else wanted
    held = REF_RETURNS.get(target.type) if value.attribute == "Ref" else None
    held = ATTRIBUTE_RETURNS.get(value.attribute, held)
    takes_either = held == "ARN" and wanted == "name" and target.type in TAKE_EITHER
    if wanted and held and wanted != held and not takes_either:
        yield Report(
            runner,
            f"{name} holds the {held} of {target.logical_id}, and its reader takes it for "
            f"{'an ARN' if wanted == 'ARN' else f'a {wanted}'}: nothing is found under it.",
            f"Pass the {wanted}, or rename the variable.",
        )
    if target.type == CLUSTER and value.attribute in {WRITER, READER}:
        words = set(name.split("_"))
        if (words & {"READER", "READ", "READONLY"} and value.attribute == WRITER) or (
            words & {"WRITER", "WRITE"} and value.attribute == READER
        ):
            yield Report(
                runner,
                f"{name} holds {value.attribute} of {target.logical_id}: reads and writes go to "
                "each other's end.",
                f"Use {READER if value.attribute == WRITER else WRITER}.",
            )

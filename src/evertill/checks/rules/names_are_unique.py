"""No two resources want the same name where a name can be had once."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Unknown
from evertill.assembly.naming import NAME_PROPERTIES
from evertill.checks.findings import Report

# IAM has one set of names for all regions of an account, and buckets one for the whole partition.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
ACCOUNT_WIDE = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
}
WORLD_WIDE = {"AWS::S3::Bucket", "AWS::RDS::GlobalCluster"}
# A service's name is unique in its cluster, a task family has revisions, and a deleted secret or
# table is another matter.
SHARED = {"AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::KMS::Alias"}


def check(model: Model) -> Iterator[Report]:
    """Compare the names that templates give, within the space that each is unique in."""
    taken: dict[tuple[str, ...], Resource] = {}
    for resource in model.resources:
        space = _space(resource)
        name = resource.name or resource.get(ACCOUNT_WIDE.get(resource.type, ""))
        if space is None or not resource.is_certain or name is None or isinstance(name, Unknown):
            continue
        first = taken.setdefault((resource.type, space, str(name)), resource)
        if first is not resource:
            yield Report(
                resource,
                f"{first} has the name {name} too, where it can be had once: whichever is deployed "
                "second fails.",
                "Put the region, or the environment, into the name.",
            )


def _space(resource: Resource) -> str | None:
    """Return within what the resource's name is unique; None when the place is not known."""
    if resource.region is None or resource.type in SHARED:
        return None
    if resource.type in WORLD_WIDE:
        return "everywhere"
    if resource.type in ACCOUNT_WIDE:
        return str(resource.account)
    return f"{resource.account} {resource.region}" if resource.type in NAME_PROPERTIES else None

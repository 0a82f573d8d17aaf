"""A database, a table of record and the way in cannot be deleted by one mistaken call."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource
from evertill.assembly.model import as_flag, as_list, as_text, child
from evertill.checks.findings import Report
from evertill.checks.views.balancers import BALANCER, is_public
from evertill.checks.views.databases import CLUSTER, GLOBAL_CLUSTER

BALANCER_ATTRIBUTE = "deletion_protection.enabled"
FLAGS = {
    CLUSTER: "DeletionProtection",
    GLOBAL_CLUSTER: "DeletionProtection",
    "AWS::DynamoDB::Table": "DeletionProtectionEnabled",
}
GLOBAL_TABLE = "AWS::DynamoDB::GlobalTable"


def check(model: Model) -> Iterator[Report]:
    """Look for protection that is off, which is the default everywhere."""
    for kind, path in FLAGS.items():
        for resource in model.resources_of(kind):
            if resource.flag(path) is False:
                yield _report(resource, f"Set {path} to true.")
    for table in model.resources_of(GLOBAL_TABLE):
        for replica in table.items("Replicas"):
            if as_flag(child(replica, "DeletionProtectionEnabled")) is False:
                yield _report(table, "Set DeletionProtectionEnabled to true on every replica.")
                break
    for balancer in model.resources_of(BALANCER):
        if is_public(balancer) and _is_open(balancer):
            yield _report(balancer, f"Set the attribute {BALANCER_ATTRIBUTE} to true.")


def _is_open(balancer: Resource) -> bool:
    attributes = balancer.get("LoadBalancerAttributes")
    if attributes is not None and not isinstance(attributes, list):
        return False
    for attribute in as_list(attributes):
        if as_text(child(attribute, "Key")) == BALANCER_ATTRIBUTE:
            return as_flag(child(attribute, "Value")) is False
    return True


def _report(resource: Resource, fix: str) -> Report:
    return Report(resource, "One call, meant for another, deletes it.", fix)

"""A grant to log in to a database by IAM names a database that has IAM authentication on."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import arn
from evertill.assembly.values import split
from evertill.checks.findings import Report
from evertill.checks.views.databases import CLUSTER, INSTANCE
from evertill.checks.views.policies import Statement, granted

ACTION = "rds-db:connect"
# The ARN takes the resource id, which AWS chooses, and not the name.
# docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
ID_PREFIXES = ("cluster-", "db-", "prx-", "*")
FIELDS = 3


def check(model: Model) -> Iterator[Report]:
    """Follow each grant to its database."""
    for statement in granted(model):
        if ACTION in statement.actions:
            for resource in statement.resources:
                yield from _granted(model, statement, resource)


def _granted(model: Model, statement: Statement, resource: Value) -> Iterator[Report]:
    databases = [item for item in model.referred_by(resource) if item.type in {CLUSTER, INSTANCE}]
    if not databases:
        databases = _only_ones(model, statement.holder)
    for database in databases:
        if database.flag("EnableIAMDatabaseAuthentication") is False:
            yield Report(
                database,
                f"{statement.holder.logical_id} grants a login by IAM, and the database does not "
                "take one: every connection is refused.",
                "Set EnableIAMDatabaseAuthentication to true.",
            )
    named = arn(resource)
    fields = split(named.resource, ":") if named else []
    identity = split(fields[1], "/")[0] if len(fields) > 1 else None
    if isinstance(identity, str) and not identity.startswith(ID_PREFIXES):
        yield Report(
            statement.holder,
            f"The grant names the database as {identity}, and takes its resource id: it matches "
            "nothing, and every login is refused.",
            "Use DBClusterResourceId (or DbiResourceId), or a user under *.",
        )


def _only_ones(model: Model, holder: Resource) -> list[Resource]:
    """Return the clusters of the holder's region, when none of them could be meant otherwise."""
    clusters = [item for item in model.resources_of(CLUSTER) if item.region == holder.region]
    closed = [item for item in clusters if item.flag("EnableIAMDatabaseAuthentication") is False]
    return clusters if clusters and len(closed) == len(clusters) else []

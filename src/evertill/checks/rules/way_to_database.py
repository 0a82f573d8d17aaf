"""What is given a database's address may reach its port."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model, Resource, Value
from evertill.checks.findings import Report
from evertill.checks.views.containers import (
    FUNCTION,
    SERVICE,
    environment_of,
    groups_of,
    secrets_of,
    task_of,
)
from evertill.checks.views.databases import CLUSTER, INSTANCE
from evertill.checks.views.networks import groups, lets_through

# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-rds-dbcluster.html
POSTGRESQL_PORT, MYSQL_PORT = 5432, 3306
ATTACHMENT = "AWS::SecretsManager::SecretTargetAttachment"


def check(model: Model) -> Iterator[Report]:
    """Walk from each service's and function's security groups to the databases they are told of."""
    for runner in model.resources_of(SERVICE, FUNCTION):
        sources = groups(model, groups_of(runner))
        if not sources:
            continue
        for database in _told_of(model, runner):
            targets = groups(model, database.items("VpcSecurityGroupIds"))
            targets = targets or groups(model, database.items("VPCSecurityGroups"))
            port = _port(database)
            if targets and port and not lets_through(model, sources, targets, port):
                yield Report(
                    runner,
                    f"It is told of {database.logical_id}, and no security group rule lets it "
                    f"reach port {port:g}: every connection times out.",
                    "Allow the port from its group to the database's, out of the one and into the "
                    "other.",
                )


def _told_of(model: Model, runner: Resource) -> list[Resource]:
    holder = runner if runner.type == FUNCTION else task_of(model, runner)
    if holder is None:
        return []
    values: list[Value] = [value for _, value in environment_of(holder)]
    values += [value for _, value in secrets_of(holder)]
    told = {item.reference: item for value in values for item in model.referred_by(value)}
    for secret in list(told.values()):
        for attachment in model.referrers(secret, ATTACHMENT):
            told |= {item.reference: item for item in model.referred_by(attachment.properties)}
    return [item for item in told.values() if item.type in {CLUSTER, INSTANCE}]


def _port(database: Resource) -> float | None:
    is_postgresql = "postgres" in (database.text("Engine") or "")
    is_mysql = "mysql" in (database.text("Engine") or "")
    # Aurora's own default is 3306 in the API, and the engine's where the CDK or the console asks.
    if is_postgresql and not database.has("Port"):
        return POSTGRESQL_PORT
    return database.number("Port", MYSQL_PORT if is_mysql else None)

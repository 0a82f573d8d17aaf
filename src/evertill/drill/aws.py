"""A region's AWS APIs, as an operator calls them: where databases and logs are, and deployments.

It is separate from the twin's control API, which AWS does not have: all that is here would work
there, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as Unreachable

from evertill.drill.errors import FaultRefused

CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 10
ATTEMPTS_MAX: Final = 3
POLL_S: Final = 0.5
# What goes wrong when a region is away; whoever looks then sees one region less.
SILENT: Final = (ClientError, HTTPClientError, Unreachable)
DEPLOYMENTS: Final = ("rolling", "bad")
# A command that no image has: the task cannot start, as with a release that is broken.
BROKEN_COMMAND: Final = ["evertill", "serve", "--no-such-option"]
NOT_REGISTERED: Final = frozenset(
    {
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
    }
)


class Region:
    """One region's APIs."""

    def __init__(self, name: str, endpoint: str) -> None:
        """Call them at `endpoint`."""
        self.name: Final = name
        self.endpoint: Final = endpoint

    def client(self, service: str) -> Any:  # noqa: ANN401 - the SDK has no types
        """Return the SDK's client of a service."""
        return boto3.client(
            service,
            region_name=self.name,
            endpoint_url=self.endpoint,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": ATTEMPTS_MAX},
            ),
        )

    def databases(self, authorities: str) -> Iterator[tuple[bool, str]]:
        """Give the region's clusters with an administrator's secret: is it writer, and its DSN."""
        for cluster in self.client("rds").describe_db_clusters()["DBClusters"]:
            secret = self._secret(f"{cluster['DBClusterIdentifier']}-admin")
            if secret is None:
                continue
            is_writer = any(item["IsClusterWriter"] for item in cluster["DBClusterMembers"])
            host = cluster["Endpoint" if is_writer else "ReaderEndpoint"]
            login = f"{secret['username']}:{quote(secret['password'], safe='')}"
            address = f"{host}:{cluster['Port']}/{secret['dbname']}"
            trust = f"sslmode=verify-full&sslrootcert={quote(authorities, safe='')}"
            yield is_writer, f"postgresql://{login}@{address}?{trust}"

    def _secret(self, name: str) -> dict[str, str] | None:
        try:
            answer = self.client("secretsmanager").get_secret_value(SecretId=name)
        except ClientError:
            return None
        found: dict[str, str] = json.loads(answer["SecretString"])
        return found

    def deploy(self, kind: str, within_s: float) -> str:
        """Roll out the region's service anew, or a broken release; return how it ended.

        Raise FaultRefused where there is no service, or the deployment does not end in time.
        """
        if kind not in DEPLOYMENTS:
            message = f"There is no deployment {kind!r}; there is {' and '.join(DEPLOYMENTS)}."
            raise FaultRefused(message)
        ecs = self.client("ecs")
        cluster, service = _service(ecs)
        change: dict[str, Any] = {"forceNewDeployment": True}
        if kind == "bad":
            change = {"taskDefinition": _register_broken(ecs, service["taskDefinition"])}
        answer = ecs.update_service(cluster=cluster, service=service["serviceName"], **change)
        primary = next(d for d in answer["service"]["deployments"] if d["status"] == "PRIMARY")
        return _await_end(ecs, cluster, service["serviceName"], primary["id"], within_s)


def _service(ecs: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - the SDK has no types
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        if arns:
            found = ecs.describe_services(cluster=cluster, services=arns[:1])["services"][0]
            return cluster, found
    raise FaultRefused("There is no service to deploy.")


def _register_broken(ecs: Any, arn: str) -> str:  # noqa: ANN401 - the SDK has no types
    definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    copied = {name: value for name, value in definition.items() if name not in NOT_REGISTERED}
    first, *others = copied["containerDefinitions"]
    copied["containerDefinitions"] = [{**first, "command": BROKEN_COMMAND}, *others]
    registered = ecs.register_task_definition(**copied)["taskDefinition"]
    return str(registered["taskDefinitionArn"])


def _await_end(
    ecs: Any,  # noqa: ANN401 - the SDK has no types
    cluster: str,
    service: str,
    deployment: str,
    within_s: float,
) -> str:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        described = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
        found = {each["id"]: each for each in described["deployments"]}
        primary = next(each for each in found.values() if each["status"] == "PRIMARY")
        ours = found.get(deployment)
        is_steady = primary["rolloutState"] == "COMPLETED" and len(found) == 1
        if is_steady and primary["id"] == deployment:
            return "completed"
        if is_steady and ours is None:
            return "rolled back"
        time.sleep(POLL_S)
    raise FaultRefused(f"The deployment did not end in {within_s:.0f} s.")

"""ECS as boto3 and the `aws` command speak it, over the services that really run.

It is separate from the parts because it only translates: every answer is read from them, and every
change is one call of theirs.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from evertill.twin.api.ecs_words import (
    cluster_words,
    service_words,
    task_definition,
    task_words,
)
from evertill.twin.api.errors import ApiError
from evertill.twin.definitions import Definitions, DefinitionUnknown, overridden
from evertill.twin.errors import TwinError
from evertill.twin.parts.runner import Runner
from evertill.twin.parts.service import Service
from evertill.twin.parts.task import Task
from evertill.twin.plan.tasks import TaskSpec

CLIENT: Final = "ClientException"
DEFAULT_CLUSTER: Final = "default"
# As many as one call may start in AWS.
RUN_MAX: Final = 10

Answer = dict[str, Any]


class Ecs:
    """The ECS of one region."""

    def __init__(
        self,
        region: str,
        account: str,
        *,
        services: Sequence[Service],
        runner: Runner,
        definitions: Definitions,
        zone_of_subnet: Mapping[str, str],
    ) -> None:
        """Answer for `services` and `runner`; `zone_of_subnet` is by the subnet's id."""
        self._region: Final = region
        self._account: Final = account
        self._services: Final = list(services)
        self._runner: Final = runner
        self._definitions: Final = definitions
        self._zone_of_subnet: Final = dict(zone_of_subnet)
        self._cluster_of_task: dict[str, str] = {}

    async def list_clusters(self, **_: Any) -> Answer:  # noqa: ANN401 - AWS's parameters
        """Name the clusters."""
        return {"clusterArns": [self._arn("cluster", name) for name in self._clusters()]}

    async def describe_clusters(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell how clusters are."""
        found, failures = [], []
        for named in parameters.get("clusters") or [DEFAULT_CLUSTER]:
            name = _tail(named)
            if name in self._clusters():
                services = [item for item in self._services if item.spec.cluster == name]
                found.append(cluster_words(self._arn("cluster", name), name, services))
            else:
                failures.append({"arn": self._arn("cluster", name), "reason": "MISSING"})
        return {"clusters": found, "failures": failures}

    async def list_services(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Name the services of a cluster."""
        cluster = self._cluster(parameters)
        return {
            "serviceArns": [
                item.spec.arn for item in self._services if item.spec.cluster == cluster
            ]
        }

    async def describe_services(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell how services are."""
        cluster = self._cluster(parameters)
        found, failures = [], []
        for named in parameters["services"]:
            service = self._find(cluster, named)
            if service is None:
                arn = self._arn("service", f"{cluster}/{_tail(named)}")
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(service_words(service))
        return {"services": found, "failures": failures}

    async def update_service(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Change a service's count, or release another task definition."""
        cluster = self._cluster(parameters)
        service = self._find(cluster, parameters["service"])
        if service is None:
            raise ApiError("ServiceNotFoundException", "Service not found.")
        known = {"cluster", "service", "desiredCount", "taskDefinition", "forceNewDeployment"}
        others = sorted(set(parameters) - known)
        if others:
            message = f"The twin's UpdateService does not change {', '.join(others)}."
            raise ApiError("UnsupportedFeatureException", message)
        if "desiredCount" in parameters:
            service.set_count(parameters["desiredCount"])
        if "taskDefinition" in parameters:
            definition = self._definition(parameters["taskDefinition"])
            if definition != service.primary.spec or parameters.get("forceNewDeployment"):
                service.deploy(definition)
        elif parameters.get("forceNewDeployment"):
            service.deploy(service.primary.spec)
        return {"service": service_words(service)}

    async def list_tasks(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Name the tasks of a cluster, of one service only when it is named."""
        cluster = self._cluster(parameters)
        wanted = parameters.get("desiredStatus", "RUNNING")
        named = parameters.get("serviceName")
        family = parameters.get("family")
        found = [
            self._task_arn(cluster, task)
            for service, task in self._tasks(cluster)
            if (named is None or (service and service.spec.name == _tail(named)))
            and (family is None or task.spec.family == family)
            and (task.status == "STOPPED") == (wanted == "STOPPED")
        ]
        return {"taskArns": found}

    async def describe_tasks(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell how tasks are, or how they ended."""
        cluster = self._cluster(parameters)
        known = {task.id: (service, task) for service, task in self._tasks(cluster)}
        found, failures = [], []
        for named in parameters["tasks"]:
            if _tail(named) in known:
                service, task = known[_tail(named)]
                found.append(self._words(cluster, service, task))
            else:
                failures.append({"arn": named, "reason": "MISSING"})
        return {"tasks": found, "failures": failures}

    async def stop_task(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Stop a task; its service starts another."""
        cluster = self._cluster(parameters)
        reason = parameters.get("reason", "Task stopped by user")
        for service, task in self._tasks(cluster):
            if task.id == _tail(parameters["task"]):
                if service is not None:
                    service.stop_task(task.id, reason)
                else:
                    self._runner.request_stop(task, reason)
                return {"task": self._words(cluster, service, task)}
        raise ApiError("InvalidParameterException", "The referenced task was not found.")

    async def run_task(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Start tasks that run once."""
        cluster = self._cluster(parameters)
        definition = self._definition(parameters["taskDefinition"])
        overrides = parameters.get("overrides", {}).get("containerOverrides", ())
        zones = self._zones(parameters, definition)
        count = min(RUN_MAX, parameters.get("count", 1))
        try:
            spec = overridden(definition, overrides)
            tasks = [self._runner.run(spec, zones[turn % len(zones)]) for turn in range(count)]
        except TwinError as error:
            raise ApiError(CLIENT, str(error)) from error
        for task in tasks:
            self._cluster_of_task[task.id] = cluster
        return {"tasks": [self._words(cluster, None, task) for task in tasks], "failures": []}

    async def list_task_definitions(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Name the definitions, of one family only when it is named."""
        family = parameters.get("familyPrefix")
        found = [spec.arn for spec in self._definitions if family in {None, spec.family}]
        return {"taskDefinitionArns": found}

    async def describe_task_definition(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell a definition, with the variables of its first zone."""
        return {"taskDefinition": task_definition(self._definition(parameters["taskDefinition"]))}

    async def register_task_definition(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Add a revision, to release it by UpdateService."""
        try:
            spec = self._definitions.register(
                self._region, self._account, parameters["family"], parameters
            )
        except TwinError as error:
            raise ApiError(CLIENT, str(error)) from error
        return {"taskDefinition": task_definition(spec)}

    def _clusters(self) -> list[str]:
        named = [service.spec.cluster for service in self._services]
        return list(dict.fromkeys(named or [DEFAULT_CLUSTER]))

    def _cluster(self, parameters: Mapping[str, Any]) -> str:
        name = _tail(parameters.get("cluster", DEFAULT_CLUSTER))
        if name not in self._clusters():
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        return name

    def _find(self, cluster: str, named: str) -> Service | None:
        return next(
            (
                service
                for service in self._services
                if service.spec.cluster == cluster and service.spec.name == _tail(named)
            ),
            None,
        )

    def _tasks(self, cluster: str) -> list[tuple[Service | None, Task]]:
        found: list[tuple[Service | None, Task]] = []
        for service in self._services:
            if service.spec.cluster == cluster:
                found += [(service, hand.task) for hand in service.crew]
                found += [(service, task) for task in service.crew.stopped]
        for task in self._runner.tasks:
            if self._cluster_of_task.get(task.id, cluster) == cluster:
                found.append((None, task))
        return found

    def _definition(self, named: str) -> TaskSpec:
        try:
            return self._definitions.find(named)
        except DefinitionUnknown as error:
            raise ApiError(CLIENT, "Unable to describe task definition.") from error

    def _zones(self, parameters: Mapping[str, Any], definition: TaskSpec) -> list[str]:
        """Return the zones of the subnets that the call names, else those of the definition."""
        network = parameters.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        subnets = network.get("subnets")
        if not subnets:
            return list(definition.containers[0].environment)
        unknown = [subnet for subnet in subnets if subnet not in self._zone_of_subnet]
        if unknown:
            message = f"The subnet ID '{unknown[0]}' does not exist"
            raise ApiError("InvalidParameterException", message)
        zones = [self._zone_of_subnet[subnet] for subnet in subnets]
        strange = [zone for zone in zones if zone not in definition.containers[0].environment]
        if strange:
            message = (
                f"{definition.family} has no addresses in {strange[0]}, where nothing runs it."
            )
            raise ApiError(CLIENT, message)
        return zones

    def _words(self, cluster: str, service: Service | None, task: Task) -> Answer:
        group = f"service:{service.spec.name}" if service else f"family:{task.spec.family}"
        return task_words(task, self._task_arn(cluster, task), self._arn("cluster", cluster), group)

    def _task_arn(self, cluster: str, task: Task) -> str:
        return self._arn("task", f"{cluster}/{task.id}")

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:ecs:{self._region}:{self._account}:{kind}/{name}"


def _tail(named: str) -> str:
    return named.rpartition("/")[2]

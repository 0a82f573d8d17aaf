"""Services and the tasks beside them, as they will be run.

It is separate from the tasks because it knows what keeps them up: counts, zones, deployments, the
target groups that they are registered with.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_number, as_text, child
from evertill.assembly.pseudo import partition
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import (
    SERVICE,
    network_of_service,
    network_of_task,
    task_of,
)
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.places import Places
from evertill.twin.plan.tasks import TaskSpec, TaskUnsupported, task_spec

CLUSTER: Final = "AWS::ECS::Cluster"
DEFAULT_CLUSTER: Final = "default"
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
MINIMUM_PERCENT_DEFAULT: Final = 100
MAXIMUM_PERCENT_DEFAULT: Final = 200
SUPPORTED: Final = {
    "DeploymentController.Type": "ECS",
    "DeploymentConfiguration.Strategy": "ROLLING",
    "SchedulingStrategy": "REPLICA",
}
UNSUPPORTED: Final = (
    "ServiceConnectConfiguration",
    "ServiceRegistries",
    "VolumeConfigurations",
    "VpcLatticeConfigurations",
)
INSIGHTS: Final = ("enabled", "enhanced")


class Attachment(msgspec.Struct, frozen=True):
    """A container's port that a target group, named by its ARN, sends to."""

    target_group: str
    container: str
    port: int


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How one release replaces another. `bake_s` is how long alarms are watched afterwards."""

    minimum_percent: int = MINIMUM_PERCENT_DEFAULT
    maximum_percent: int = MAXIMUM_PERCENT_DEFAULT
    has_breaker: bool = False
    rolls_back: bool = False
    alarms: tuple[str, ...] = ()
    alarms_roll_back: bool = False
    bake_s: float = 0.0


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A service. `count` is what it begins with; scaling changes it between its bounds."""

    name: str
    region: str
    account: str
    cluster: str
    task: TaskSpec
    zones: tuple[str, ...]
    count: int
    groups: tuple[Value, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    rollout: Rollout = Rollout()
    grace_period_s: float = 0.0
    is_rebalanced: bool = False
    has_insights: bool = False
    count_max: int | None = None

    @property
    def arn(self) -> str:
        """Return the service's ARN."""
        place = f"{partition(self.region)}:ecs:{self.region}:{self.account}"
        return f"arn:{place}:service/{self.cluster}/{self.name}"

    @property
    def cluster_arn(self) -> str:
        """Return its cluster's ARN."""
        place = f"{partition(self.region)}:ecs:{self.region}:{self.account}"
        return f"arn:{place}:cluster/{self.cluster}"

    def capped(self, count: int) -> int:
        """Return how many of `count` tasks are really started on this machine."""
        return count if self.count_max is None else min(count, self.count_max)


class LooseTask(msgspec.Struct, frozen=True):
    """A task that no service runs, such as a migration, and the zones it may run in."""

    task: TaskSpec
    cluster: str
    zones: tuple[str, ...]


def service_spec(
    model: Model,
    service: Resource,
    places: Places,
    bindings: Bindings,
    count_max: int | None = None,
) -> ServiceSpec:
    """Return a service as it is run; `count_max` caps how many of its tasks are really started.

    Raises a TwinError for what cannot be run. Whatever the tasks refer to must be bound before.
    """
    _refuse_unsupported(service)
    task = task_of(model, service)
    if task is None:
        message = f"{service} runs a task definition that is not in these templates."
        raise TaskUnsupported(message)
    network = network_of_service(service, places)
    name = physical_name(service)
    count = service.number("DesiredCount")
    return ServiceSpec(
        name=name,
        region=str(service.region),
        account=str(service.account),
        cluster=_cluster(model, service),
        task=task_spec(task, bindings, name, network.zones),
        zones=network.zones,
        groups=network.groups,
        # Without a number ECS starts one task, and scaling raises it to its lower bound at once.
        count=1 if count is None else int(count),
        attachments=_attachments(service, bindings),
        rollout=_rollout(model, service),
        grace_period_s=service.number("HealthCheckGracePeriodSeconds", 0) or 0.0,
        is_rebalanced=service.text("AvailabilityZoneRebalancing", "DISABLED") == "ENABLED",
        has_insights=_has_insights(model, service),
        count_max=count_max,
    )


def _refuse_unsupported(service: Resource) -> None:
    """Raise TaskUnsupported for a way of scheduling or releasing that the twin does not have."""
    for path, known in SUPPORTED.items():
        found = service.text(path, known)
        if found != known:
            message = f"{service} asks for {path} {found}; the twin has {known} only."
            raise TaskUnsupported(message)
    for path in UNSUPPORTED:
        if service.items(path) or isinstance(service.get(path), dict):
            message = f"{service} uses {path}, which nothing in the twin stands for."
            raise TaskUnsupported(message)


def loose_task(model: Model, task: Resource, places: Places, bindings: Bindings) -> LooseTask:
    """Return a task definition that no service runs, as it can be run; raise a TwinError."""
    zones = network_of_task(model, task, places).zones
    services = [item for item in model.resources_of(SERVICE) if item.region == task.region]
    return LooseTask(
        task_spec(task, bindings, physical_name(task), zones),
        _cluster(model, services[0]) if services else DEFAULT_CLUSTER,
        zones,
    )


def _attachments(service: Resource, bindings: Bindings) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(
            bindings.text(child(item, "TargetGroupArn")),
            as_text(child(item, "ContainerName")) or "",
            int(as_number(child(item, "ContainerPort")) or 0),
        )
        for item in service.items("LoadBalancers")
        if child(item, "TargetGroupArn") is not None
    )


def _rollout(model: Model, service: Resource) -> Rollout:
    at = "DeploymentConfiguration"
    alarms = tuple(map(str, service.items(f"{at}.Alarms.AlarmNames")))
    are_watched = bool(alarms) and service.flag(f"{at}.Alarms.Enable") is True
    minimum = service.number(f"{at}.MinimumHealthyPercent", MINIMUM_PERCENT_DEFAULT)
    maximum = service.number(f"{at}.MaximumPercent", MAXIMUM_PERCENT_DEFAULT)
    return Rollout(
        minimum_percent=int(minimum or 0),
        maximum_percent=int(maximum or MAXIMUM_PERCENT_DEFAULT),
        has_breaker=service.flag(f"{at}.DeploymentCircuitBreaker.Enable") is True,
        rolls_back=service.flag(f"{at}.DeploymentCircuitBreaker.Rollback") is True,
        alarms=alarms if are_watched else (),
        alarms_roll_back=service.flag(f"{at}.Alarms.Rollback") is True,
        bake_s=_bake_s(model, service, alarms) if are_watched else 0.0,
    )


def _bake_s(model: Model, service: Resource, alarms: tuple[str, ...]) -> float:
    """Return how long ECS watches the alarms once all tasks are new.

    It says only that it computes the time from the alarms; here it is the longest stretch that one
    of them looks at. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
    """
    found = [
        alarm
        for alarm in model.resources_of("AWS::CloudWatch::Alarm")
        if alarm.region == service.region and physical_name(alarm) in alarms
    ]
    return max((_window_s(alarm) for alarm in found), default=0.0)


def _window_s(alarm: Resource) -> float:
    metrics = [
        as_number(child(child(item, "MetricStat"), "Period")) for item in alarm.items("Metrics")
    ]
    period = max([alarm.number("Period", 0) or 0, *(number or 0 for number in metrics)])
    return math.ceil(period * (alarm.number("EvaluationPeriods", 1) or 1))


def _cluster(model: Model, service: Resource) -> str:
    cluster = model.find(service.get("Cluster"), CLUSTER, region=service.region)
    return physical_name(cluster) if cluster is not None else DEFAULT_CLUSTER


def _has_insights(model: Model, service: Resource) -> bool:
    cluster = model.find(service.get("Cluster"), CLUSTER, region=service.region)
    settings = cluster.items("ClusterSettings") if cluster is not None else []
    return any(
        as_text(child(setting, "Name")) == "containerInsights"
        and as_text(child(setting, "Value")) in INSIGHTS
        for setting in settings
    )

"""Services, tasks and definitions in ECS's own words.

They are separate from the operations because several of these tell the same things.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from evertill.twin.definitions import shown_environment
from evertill.twin.parts.container import Container
from evertill.twin.parts.deployment import Deployment
from evertill.twin.parts.service import Service
from evertill.twin.parts.task import PENDING, RUNNING, STOPPED, Task
from evertill.twin.plan.tasks import ContainerSpec, TaskSpec

LAUNCH_TYPE: Final = "FARGATE"

Words = dict[str, Any]


def cluster_words(arn: str, name: str, services: Sequence[Service]) -> Words:
    """Tell a cluster."""
    return {
        "clusterArn": arn,
        "clusterName": name,
        "status": "ACTIVE",
        "activeServicesCount": len(services),
        "runningTasksCount": sum(_count(item, RUNNING) for item in services),
        "pendingTasksCount": sum(_count(item, PENDING) for item in services),
    }


def service_words(service: Service) -> Words:
    """Tell a service with its deployments, the newest first."""
    spec, rollout = service.spec, service.spec.rollout
    used = {hand.deployment for hand in service.crew} | {service.primary.id}
    deployments = [item for item in reversed(service.deployments) if item.id in used]
    return {
        "serviceArn": spec.arn,
        "serviceName": spec.name,
        "clusterArn": spec.cluster_arn,
        "status": "ACTIVE",
        "desiredCount": service.count,
        "runningCount": _count(service, RUNNING),
        "pendingCount": _count(service, PENDING),
        "launchType": LAUNCH_TYPE,
        "taskDefinition": service.primary.spec.arn,
        "healthCheckGracePeriodSeconds": int(spec.grace_period_s),
        "availabilityZoneRebalancing": "ENABLED" if spec.is_rebalanced else "DISABLED",
        "loadBalancers": [
            {
                "targetGroupArn": item.target_group,
                "containerName": item.container,
                "containerPort": item.port,
            }
            for item in spec.attachments
        ],
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {
                "enable": rollout.has_breaker,
                "rollback": rollout.rolls_back,
            },
            "minimumHealthyPercent": rollout.minimum_percent,
            "maximumPercent": rollout.maximum_percent,
            "alarms": {
                "alarmNames": list(rollout.alarms),
                "enable": bool(rollout.alarms),
                "rollback": rollout.alarms_roll_back,
            },
        },
        "events": [
            {
                "id": str(event.number),
                "createdAt": _moment(event.epoch_s),
                "message": f"({event.kind}) {event.text}",
            }
            for event in reversed(service.events)
        ],
        "deployments": [_deployment_words(service, item) for item in deployments],
    }


def task_words(task: Task, arn: str, cluster_arn: str, group: str) -> Words:
    """Tell a task."""
    words: Words = {
        "taskArn": arn,
        "clusterArn": cluster_arn,
        "taskDefinitionArn": task.spec.arn,
        "group": group,
        "launchType": LAUNCH_TYPE,
        "availabilityZone": task.zone,
        "lastStatus": task.status,
        "desiredStatus": "STOPPED" if task.stop_code else "RUNNING",
        "healthStatus": task.health,
        "cpu": str(task.spec.cpu_units),
        "memory": str(task.spec.memory_mib),
        "createdAt": _moment(task.created_s),
        "containers": [_container_words(container, task) for container in task.containers.values()],
        "attachments": [
            {
                "id": task.id,
                "type": "ElasticNetworkInterface",
                "status": "DELETED" if task.status == STOPPED else "ATTACHED",
                "details": [{"name": "privateIPv4Address", "value": task.address}],
            }
        ],
    }
    if task.running_since_s is not None:
        words["startedAt"] = _moment(task.running_since_s)
    if task.stop_code:
        words |= {"stopCode": task.stop_code, "stoppedReason": task.stop_reason}
    if task.stopped_s is not None:
        words["stoppedAt"] = _moment(task.stopped_s)
    return words


def task_definition(spec: TaskSpec) -> Words:
    """Tell a definition so that it can be changed and registered again."""
    words: Words = {
        "taskDefinitionArn": spec.arn,
        "family": spec.family,
        "revision": spec.revision,
        "status": "ACTIVE",
        "networkMode": "awsvpc",
        "requiresCompatibilities": [LAUNCH_TYPE],
        "cpu": str(spec.cpu_units),
        "memory": str(spec.memory_mib),
        "containerDefinitions": [_definition_words(item) for item in spec.containers],
    }
    if spec.role:
        words["taskRoleArn"] = spec.role
    return words


def _deployment_words(service: Service, deployment: Deployment) -> Words:
    is_primary = deployment is service.primary
    tasks = [hand.task for hand in service.crew if hand.deployment == deployment.id]
    return {
        "id": deployment.id,
        "status": "PRIMARY" if is_primary else "ACTIVE",
        "taskDefinition": deployment.spec.arn,
        "desiredCount": service.count if is_primary else 0,
        "runningCount": _standing(service, tasks, RUNNING),
        "pendingCount": _standing(service, tasks, PENDING),
        "failedTasks": deployment.failures,
        "rolloutState": deployment.state,
        "rolloutStateReason": deployment.reason,
        "launchType": LAUNCH_TYPE,
        "createdAt": _moment(deployment.created_s),
        "updatedAt": _moment(deployment.updated_s),
    }


def _container_words(container: Container, task: Task) -> Words:
    words: Words = {
        "name": container.spec.name,
        "image": container.spec.image.reference,
        "lastStatus": "RUNNING" if container.is_running else task.status,
        "healthStatus": container.health,
    }
    if container.exit_code is not None:
        words |= {"exitCode": container.exit_code, "lastStatus": "STOPPED"}
    return words


def _definition_words(container: ContainerSpec) -> Words:
    """Tell a container; its command line is told whole, as the command of an entry point."""
    image = container.image
    entry_point, *command = container.arguments
    words: Words = {
        "name": container.name,
        "image": image.reference,
        "essential": container.is_essential,
        "environment": [
            {"name": name, "value": value} for name, value in shown_environment(container).items()
        ],
        "secrets": [
            {"name": name, "valueFrom": source} for name, source in container.secrets.items()
        ],
        "portMappings": [{"containerPort": port, "protocol": "tcp"} for port in container.ports],
        "stopTimeout": int(container.stop_timeout_s),
        "mountPoints": [
            {"containerPath": path, "sourceVolume": volume}
            for path, volume in container.mounts.items()
        ],
        "dependsOn": [
            {"containerName": name, "condition": condition}
            for name, condition in container.depends_on.items()
        ],
    }
    own = tuple(container.arguments[: len(image.entry_point)]) == image.entry_point
    if own and image.entry_point:
        words["command"] = list(container.arguments[len(image.entry_point) :])
    else:
        words |= {"entryPoint": [entry_point], "command": command}
    if container.directory is not None:
        words["workingDirectory"] = container.directory
    if container.log_group:
        options = {"awslogs-group": container.log_group}
        words["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    probe = container.probe
    if probe is not None:
        words["healthCheck"] = {
            "command": ["CMD", *probe.command],
            "interval": int(probe.interval_s),
            "timeout": int(probe.timeout_s),
            "retries": probe.retries,
            "startPeriod": int(probe.start_period_s),
        }
    return words


def _count(service: Service, status: str) -> int:
    return _standing(service, [hand.task for hand in service.crew], status)


def _standing(service: Service, tasks: Sequence[Task], status: str) -> int:
    """Count tasks, each for as many as it stands for: whoever waits for a count must see it."""
    return round(sum(task.status == status for task in tasks) * service.stands_for)


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)

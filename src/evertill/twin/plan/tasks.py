"""Task definitions as they are run: every container's command line, variables and checks.

It is separate from the services because a migration is a task without a service, and because a
deployment brings a new definition to a service that is there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from evertill.assembly import Resource, Value
from evertill.assembly.model import as_flag, as_list, as_number, as_text, child
from evertill.assembly.pseudo import partition
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings, Unbound
from evertill.twin.plan.consumers import consumer_name
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.images import Image, arguments, image_of

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
STOP_TIMEOUT_DEFAULT_S: Final = 30.0
PROBE_INTERVAL_DEFAULT_S: Final = 30.0
PROBE_TIMEOUT_DEFAULT_S: Final = 5.0
PROBE_RETRIES_DEFAULT: Final = 3
CPU_DEFAULT: Final = 256
MEMORY_DEFAULT_MIB: Final = 512
CONDITIONS: Final = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


class TaskUnsupported(TwinError):
    """A task definition asks for what the twin cannot give."""

    code = "task_unsupported"


class Probe(msgspec.Struct, frozen=True):
    """A container's own health check. Its interval is twin time; what bounds work is not."""

    command: tuple[str, ...]
    interval_s: float = PROBE_INTERVAL_DEFAULT_S
    timeout_s: float = PROBE_TIMEOUT_DEFAULT_S
    retries: int = PROBE_RETRIES_DEFAULT
    start_period_s: float = 0.0


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container. Its variables are told by zone, because addresses differ by zone.

    `mounts` are paths in the container by the volume that is there; `depends_on` is conditions by
    container, each one of CONDITIONS.
    """

    name: str
    image: Image
    arguments: tuple[str, ...]
    environment: Mapping[str, Mapping[str, str]] = {}
    secrets: Mapping[str, str] = {}
    ports: tuple[int, ...] = ()
    is_essential: bool = True
    probe: Probe | None = None
    stop_timeout_s: float = STOP_TIMEOUT_DEFAULT_S
    mounts: Mapping[str, str] = {}
    depends_on: Mapping[str, str] = {}
    directory: str | None = None
    log_group: str = ""


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a task definition; `role` is the ARN of the role of its containers."""

    family: str
    region: str
    account: str
    containers: tuple[ContainerSpec, ...]
    revision: int = 1
    role: str = ""
    cpu_units: int = CPU_DEFAULT
    memory_mib: int = MEMORY_DEFAULT_MIB

    @property
    def arn(self) -> str:
        """Return the ARN of this revision."""
        place = f"{partition(self.region)}:ecs:{self.region}:{self.account}"
        return f"arn:{place}:task-definition/{self.family}:{self.revision}"


def task_spec(task: Resource, bindings: Bindings, thing: str, zones: tuple[str, ...]) -> TaskSpec:
    """Return a task definition as `thing`, a service or itself, runs it in `zones`.

    Raises ImageUnknown, TaskUnsupported or Unbound, each naming the task.
    """
    _refuse_unsupported(task)
    try:
        containers = tuple(
            _container(task, item, bindings, thing, zones)
            for item in task.items("ContainerDefinitions")
        )
        role = task.get("TaskRoleArn")
        return TaskSpec(
            family=physical_name(task),
            region=str(task.region),
            account=str(task.account),
            containers=containers,
            role=bindings.text(role) if role is not None else "",
            cpu_units=int(task.number("Cpu", CPU_DEFAULT) or CPU_DEFAULT),
            memory_mib=int(task.number("Memory", MEMORY_DEFAULT_MIB) or MEMORY_DEFAULT_MIB),
        )
    except Unbound as error:
        message = f"{task} cannot be run: {error}"
        raise Unbound(message) from error


def _refuse_unsupported(task: Resource) -> None:
    """Raise TaskUnsupported for what would change how the containers run, and cannot be given."""
    mode = task.text("NetworkMode", "awsvpc")
    if mode != "awsvpc":
        message = f"{task} uses the network mode {mode}; the twin gives every task its own address."
        raise TaskUnsupported(message)
    for volume in task.items("Volumes"):
        if child(volume, "EFSVolumeConfiguration") is not None:
            message = f"{task} mounts a file system that tasks share, which the twin does not have."
            raise TaskUnsupported(message)
    for item in task.items("ContainerDefinitions"):
        if as_list(child(item, "EnvironmentFiles")):
            message = f"{task} reads variables from files in S3, which the twin does not do."
            raise TaskUnsupported(message)


def _container(
    task: Resource, item: Value, bindings: Bindings, thing: str, zones: tuple[str, ...]
) -> ContainerSpec:
    image = image_of(bindings.text(child(item, "Image")))
    consumers = {zone: consumer_name(str(task.region), zone, thing) for zone in zones}
    return ContainerSpec(
        name=_text(item, "Name"),
        image=image,
        arguments=tuple(
            arguments(
                image,
                tuple(_texts(child(item, "EntryPoint"), bindings)),
                tuple(_texts(child(item, "Command"), bindings)),
            )
        ),
        environment={
            zone: {
                _text(variable, "Name"): bindings.text(child(variable, "Value") or "", consumer)
                for variable in as_list(child(item, "Environment"))
            }
            for zone, consumer in consumers.items()
        },
        secrets={
            _text(secret, "Name"): bindings.text(child(secret, "ValueFrom"))
            for secret in as_list(child(item, "Secrets"))
        },
        ports=tuple(
            int(as_number(child(mapping, "ContainerPort")) or 0)
            for mapping in as_list(child(item, "PortMappings"))
        ),
        is_essential=as_flag(child(item, "Essential"), default=True) is not False,
        probe=_probe(child(item, "HealthCheck"), bindings),
        stop_timeout_s=_number(item, "StopTimeout", STOP_TIMEOUT_DEFAULT_S),
        mounts={
            _text(mount, "ContainerPath"): _text(mount, "SourceVolume")
            for mount in as_list(child(item, "MountPoints"))
        },
        depends_on=dict(_dependencies(task, item)),
        directory=as_text(child(item, "WorkingDirectory")),
        log_group=bindings.text(_log_option(item, "awslogs-group") or ""),
    )


def _log_option(item: Value, name: str) -> Value:
    return child(child(child(item, "LogConfiguration"), "Options"), name)


def _probe(check: Value, bindings: Bindings) -> Probe | None:
    command = tuple(_texts(child(check, "Command"), bindings)) if check is not None else ()
    if not command or command[0] == "NONE":
        return None
    if command[0] == "CMD-SHELL":
        command = ("sh", "-c", *command[1:])
    elif command[0] == "CMD":
        command = command[1:]
    return Probe(
        command,
        _number(check, "Interval", PROBE_INTERVAL_DEFAULT_S),
        _number(check, "Timeout", PROBE_TIMEOUT_DEFAULT_S),
        int(_number(check, "Retries", PROBE_RETRIES_DEFAULT)),
        _number(check, "StartPeriod", 0),
    )


def _dependencies(task: Resource, item: Value) -> Iterator[tuple[str, str]]:
    for dependency in as_list(child(item, "DependsOn")):
        condition = _text(dependency, "Condition")
        if condition not in CONDITIONS:
            message = f"{task} waits for the condition {condition}, which ECS does not have."
            raise TaskUnsupported(message)
        yield _text(dependency, "ContainerName"), condition


def _texts(values: Value, bindings: Bindings) -> Iterator[str]:
    return (bindings.text(value) for value in as_list(values))


def _text(value: Value, name: str) -> str:
    found = as_text(child(value, name))
    if found is None:
        message = f"The twin cannot tell {name} of a container: {child(value, name)}."
        raise TaskUnsupported(message)
    return found


def _number(value: Value, name: str, default: float) -> float:
    found = as_number(child(value, name), default)
    return default if found is None else found

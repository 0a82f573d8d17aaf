"""The task definitions of a region, revision by revision, as ECS keeps them.

They are separate from the API because a release is the start of a new revision: an operator
registers one that differs a little from the last, as deployment tools do.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from evertill.twin.errors import TwinError
from evertill.twin.plan.images import arguments, image_of
from evertill.twin.plan.tasks import (
    PROBE_INTERVAL_DEFAULT_S,
    PROBE_RETRIES_DEFAULT,
    PROBE_TIMEOUT_DEFAULT_S,
    STOP_TIMEOUT_DEFAULT_S,
    ContainerSpec,
    Probe,
    TaskSpec,
)

REVISIONS_MAX: Final = 1_000


class DefinitionUnknown(TwinError):
    """There is no such task definition."""

    code = "definition_unknown"


class Definitions:
    """All revisions of all families of one region."""

    def __init__(self, specs: Iterable[TaskSpec], zones: Sequence[str]) -> None:
        """Begin with the definitions of the templates; a new family may run in all `zones`."""
        self._zones: Final = tuple(zones)
        self._families: dict[str, list[TaskSpec]] = defaultdict(list)
        for spec in specs:
            self._families[spec.family].append(spec)

    def __iter__(self) -> Iterator[TaskSpec]:
        return itertools.chain.from_iterable(self._families.values())

    def find(self, named: str) -> TaskSpec:
        """Return a definition by family, `family:revision` or ARN; raise DefinitionUnknown."""
        family, _, revision = named.rpartition("/")[2].partition(":")
        found = [
            spec
            for spec in self._families.get(family, ())
            if not revision or str(spec.revision) == revision
        ]
        if not found:
            message = f"There is no task definition {named}."
            raise DefinitionUnknown(message)
        return found[-1]

    def register(
        self, region: str, account: str, family: str, request: Mapping[str, Any]
    ) -> TaskSpec:
        """Add a revision as RegisterTaskDefinition describes it; raise a TwinError.

        A variable that reads as it did in the revision before keeps its value in each zone.
        """
        revisions = self._families[family]
        if len(revisions) >= REVISIONS_MAX:
            message = f"{family} has {REVISIONS_MAX} revisions; the twin keeps no more."
            raise TwinError(message)
        before = revisions[-1] if revisions else None
        spec = TaskSpec(
            family=family,
            region=region,
            account=account,
            containers=tuple(
                _container(item, _same(before, item["name"]), self._zones)
                for item in request["containerDefinitions"]
            ),
            revision=before.revision + 1 if before else 1,
            role=request.get("taskRoleArn", ""),
            cpu_units=int(request.get("cpu", before.cpu_units if before else 256)),
            memory_mib=int(request.get("memory", before.memory_mib if before else 512)),
        )
        revisions.append(spec)
        return spec


def overridden(spec: TaskSpec, overrides: Sequence[Mapping[str, Any]]) -> TaskSpec:
    """Return a definition with RunTask's overrides of commands and variables."""
    by_name = {item["name"]: item for item in overrides}
    return msgspec.structs.replace(
        spec,
        containers=tuple(
            _overridden(container, by_name.get(container.name, {})) for container in spec.containers
        ),
    )


def _overridden(container: ContainerSpec, override: Mapping[str, Any]) -> ContainerSpec:
    more = {item["name"]: item["value"] for item in override.get("environment", ())}
    command = override.get("command")
    return msgspec.structs.replace(
        container,
        environment={
            zone: {**variables, **more} for zone, variables in container.environment.items()
        },
        arguments=(
            tuple(arguments(container.image, (), tuple(command)))
            if command
            else container.arguments
        ),
    )


def shown_environment(container: ContainerSpec) -> dict[str, str]:
    """Return the variables as the API tells them: those of the first zone."""
    return dict(next(iter(container.environment.values()), {}))


def _same(before: TaskSpec | None, name: str) -> ContainerSpec | None:
    containers = before.containers if before else ()
    return next((container for container in containers if container.name == name), None)


def _container(
    item: Mapping[str, Any], before: ContainerSpec | None, zones: Sequence[str]
) -> ContainerSpec:
    image = image_of(item["image"])
    entry_point, command = tuple(item.get("entryPoint", ())), tuple(item.get("command", ()))
    check = item.get("healthCheck")
    return ContainerSpec(
        name=item["name"],
        image=image,
        arguments=tuple(arguments(image, entry_point, command)),
        environment=_environment(item.get("environment", ()), before, zones),
        secrets={secret["name"]: secret["valueFrom"] for secret in item.get("secrets", ())},
        ports=tuple(mapping["containerPort"] for mapping in item.get("portMappings", ())),
        is_essential=item.get("essential", True),
        probe=_probe(check) if check else None,
        stop_timeout_s=item.get("stopTimeout", STOP_TIMEOUT_DEFAULT_S),
        mounts={
            mount["containerPath"]: mount["sourceVolume"] for mount in item.get("mountPoints", ())
        },
        depends_on={
            other["containerName"]: other["condition"] for other in item.get("dependsOn", ())
        },
        directory=item.get("workingDirectory"),
        log_group=item.get("logConfiguration", {}).get("options", {}).get("awslogs-group", ""),
    )


def _environment(
    listed: Sequence[Mapping[str, str]], before: ContainerSpec | None, zones: Sequence[str]
) -> dict[str, dict[str, str]]:
    given = {item["name"]: item["value"] for item in listed}
    shown = shown_environment(before) if before else {}
    known = before.environment if before else {}
    return {
        zone: {
            name: known[zone][name] if zone in known and shown.get(name) == value else value
            for name, value in given.items()
        }
        for zone in known or zones
    }


def _probe(check: Mapping[str, Any]) -> Probe | None:
    kind, *command = check["command"]
    if kind == "NONE":
        return None
    return Probe(
        ("sh", "-c", *command) if kind == "CMD-SHELL" else tuple(command),
        check.get("interval", PROBE_INTERVAL_DEFAULT_S),
        check.get("timeout", PROBE_TIMEOUT_DEFAULT_S),
        check.get("retries", PROBE_RETRIES_DEFAULT),
        check.get("startPeriod", 0),
    )

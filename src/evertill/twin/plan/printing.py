"""The plan as a person and as a program read it: a tree, and the same as JSON.

It is separate from the plan because nothing that runs needs it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from evertill.assembly import Resource
from evertill.twin.plan.database_specs import ClusterSpec
from evertill.twin.plan.describing import described, described_everywhere
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.plan import Plan
from evertill.twin.plan.scaling import ScalingSpec
from evertill.twin.plan.services import LooseTask, ServiceSpec
from evertill.twin.plan.tasks import ContainerSpec
from evertill.twin.registry import Fate, resources_by_fate, verdict_on

COMMAND_LENGTH_MAX: Final = 100
REPRESENTED: Final = (Fate.RUN, Fate.ENFORCED, Fate.NO_EFFECT)


def tree(plan: Plan) -> Tree:
    """Return the plan as a tree of regions."""
    model = plan.model
    root = _branch(None, f"{len(model.stacks)} stacks with {len(model.resources)} resources")
    for region in model.regions:
        place = _branch(root, f"{region}: {', '.join(plan.places.regions[region]) or 'no zones'}")
        for service in _in_region(plan.services, region):
            _add_service(place, service, _scaling_of(plan, service))
        for task in plan.loose_tasks:
            if task.task.region == region:
                _add_task(place, task)
        for line, below in described(plan, region):
            _add_lines(place, line, below)
        for fate in REPRESENTED:
            _add_fate(place, plan, region, fate)
    for line, below in described_everywhere(plan):
        _add_lines(root, line, below)
    if plan.absent:
        absent = _branch(root, "not represented")
        for line in plan.absent:
            _branch(absent, line)
    return root


def as_dict(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON-able values."""
    return {
        "regions": {
            region: {
                "zones": list(plan.places.regions[region]),
                "services": [
                    _service_dict(service, _scaling_of(plan, service))
                    for service in _in_region(plan.services, region)
                ],
                "tasks": [
                    {"family": task.task.family, "cluster": task.cluster, "zones": task.zones}
                    for task in plan.loose_tasks
                    if task.task.region == region
                ],
                "databases": [
                    _database_dict(plan, cluster)
                    for cluster in plan.databases.clusters
                    if cluster.region == region
                ],
                "load_balancers": [
                    {
                        "name": balancer.name,
                        "zones": list(balancer.zones),
                        "ports": [listener.port for listener in balancer.listeners],
                    }
                    for balancer in plan.balancing.balancers
                    if balancer.region == region
                ],
                "functions": [item.name for item in plan.functions if item.region == region],
                "resources": [
                    {
                        "resource": str(item),
                        "type": item.type,
                        "name": physical_name(item),
                        "fate": verdict_on(item.type).fate.value,
                    }
                    for item in plan.model.resources
                    if item.region == region
                ],
            }
            for region in plan.model.regions
        },
        "not_represented": list(plan.absent),
    }


def _branch(parent: Tree | None, text: str) -> Tree:
    # What templates say is text, never rich's markup.
    label = Text(text)
    return Tree(label) if parent is None else parent.add(label)


def _add_lines(parent: Tree, line: str, below: Sequence[str]) -> None:
    branch = _branch(parent, line)
    for text in below:
        _branch(branch, text)


def _in_region(services: tuple[ServiceSpec, ...], region: str) -> Iterator[ServiceSpec]:
    return (service for service in services if service.region == region)


def _scaling_of(plan: Plan, service: ServiceSpec) -> ScalingSpec | None:
    return next((item for item in plan.scaling if item.service is service), None)


def _add_service(place: Tree, service: ServiceSpec, scaling: ScalingSpec | None) -> None:
    branch = _branch(place, f"service {service.name} in {service.cluster}")
    _branch(branch, _count(service, scaling))
    for container in service.task.containers:
        _add_container(branch, container)
    rollout = service.rollout
    _branch(
        branch,
        f"releases keep {rollout.minimum_percent} to {rollout.maximum_percent} % of the tasks; "
        f"circuit breaker {_with_rollback(rollout.has_breaker, rollout.rolls_back)}; "
        f"alarms {', '.join(rollout.alarms) or 'none'}",
    )
    for attachment in service.attachments:
        _branch(branch, f"port {attachment.port} in {attachment.target_group.split(':')[-1]}")
    for policy in scaling.policies if scaling else ():
        _branch(branch, f"scales by {policy.namespace} {policy.metric} at {policy.target:g}")


def _add_task(place: Tree, task: LooseTask) -> None:
    branch = _branch(place, f"task {task.task.family}, run by hand in {task.cluster}")
    for container in task.task.containers:
        _add_container(branch, container)


def _add_container(parent: Tree, container: ContainerSpec) -> None:
    branch = _branch(parent, f"container {container.name}: {container.image.reference}")
    _branch(branch, f"stands for it: {container.image.note}")
    command = " ".join(container.arguments)
    if len(command) > COMMAND_LENGTH_MAX:
        command = command[: COMMAND_LENGTH_MAX - 3] + "..."
    _branch(branch, f"$ {command}")
    probe = container.probe
    if probe is not None:
        _branch(
            branch,
            f"checked every {probe.interval_s:g} s, {probe.retries} times, "
            f"{probe.start_period_s:g} s after its start",
        )


def _add_fate(place: Tree, plan: Plan, region: str, fate: Fate) -> None:
    by_type: dict[str, list[Resource]] = defaultdict(list)
    for item in resources_by_fate(plan.model, fate):
        if item.region == region:
            by_type[item.type].append(item)
    if not by_type:
        return
    branch = _branch(place, fate.value)
    for kind, items in sorted(by_type.items()):
        counted = f"{len(items)} {kind}" if len(items) > 1 else kind
        line = _branch(branch, f"{counted}: {verdict_on(kind).sentence}")
        for item in items if fate is Fate.RUN else ():
            _branch(line, physical_name(item))


def _count(service: ServiceSpec, scaling: ScalingSpec | None) -> str:
    wanted = max(service.count, scaling.count_min) if scaling else service.count
    zones = Counter(service.zones)
    bounds = f", {scaling.count_min} to {scaling.count_max} by load" if scaling else ""
    text = f"{_tasks(wanted)} over {len(zones)} zones{bounds}"
    started = service.capped(wanted)
    if service.count_max is not None:
        text += f"; {started} of them started here, never more than {service.count_max} (--tasks)"
    return text


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _with_rollback(is_on: bool, rolls_back: bool) -> str:  # noqa: FBT001 - two facts in a sentence
    if not is_on:
        return "off"
    return "on, with rollback" if rolls_back else "on, without rollback"


def _service_dict(service: ServiceSpec, scaling: ScalingSpec | None) -> dict[str, Any]:
    wanted = max(service.count, scaling.count_min) if scaling else service.count
    return {
        "name": service.name,
        "cluster": service.cluster,
        "zones": list(service.zones),
        "count": wanted,
        "started": service.capped(wanted),
        "count_min": scaling.count_min if scaling else None,
        "count_max": scaling.count_max if scaling else None,
        "containers": [
            {
                "name": container.name,
                "image": container.image.reference,
                "command": list(container.arguments),
                "ports": list(container.ports),
            }
            for container in service.task.containers
        ],
        "target_groups": [item.target_group for item in service.attachments],
    }


def _database_dict(plan: Plan, cluster: ClusterSpec) -> dict[str, Any]:
    gates = [gate for gate in plan.database_gates if gate.target == cluster.name]
    return {
        "name": cluster.identifier,
        "instances": {member.identifier: member.zone for member in cluster.instances},
        "global": cluster.global_identifier or None,
        "refused": sorted({gate.refusal for gate in gates if gate.refusal}),
    }

"""The plan: what becomes of every resource, and what will run in each region.

It is separate from the planners of each concern because it only calls them and collects what they
cannot do: all complaints are told at once, before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from evertill.assembly import Model, Reference, Resource
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings, Unbound
from evertill.twin.plan.consumers import SERVICE, loose_tasks
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.places import Places, places_of
from evertill.twin.plan.scaling import TARGET, ScalingSpec, scaling_spec
from evertill.twin.plan.services import LooseTask, ServiceSpec, loose_task, service_spec
from evertill.twin.registry import refuse_unsupported, unsupported_lines

Spec = TypeVar("Spec")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will run. `absent` has a line for each thing that nothing will stand for."""

    model: Model
    places: Places
    services: tuple[ServiceSpec, ...]
    loose_tasks: tuple[LooseTask, ...]
    scaling: tuple[ScalingSpec, ...]
    absent: tuple[str, ...]


class SymbolicBindings(Bindings):
    """Bindings for a plan that is only printed: an address that is given at the start is a name.

    Which addresses a twin gets depends on what else runs on the machine, so no plan can tell them.
    """

    def _of(self, value: Reference, consumer: str) -> str:
        try:
            return super()._of(value, consumer)
        except Unbound:
            return str(value)


def plan_of(
    model: Model,
    bindings: Bindings,
    *,
    count_max: int | None = None,
    allows_unsupported: bool = False,
) -> Plan:
    """Return the plan for `model`, whose databases, balancers and so on `bindings` knows.

    Raises Unsupported with every complaint in it, unless these are allowed and told in the plan.
    """
    places = places_of(model)
    complaints: list[str] = []
    services = _planned(
        model.resources_of(SERVICE),
        lambda service: service_spec(model, service, places, bindings, count_max),
        complaints,
    )
    tasks = _planned(
        loose_tasks(model), lambda task: loose_task(model, task, places, bindings), complaints
    )
    scaling = _planned(
        _targets_of(model, services),
        lambda target: scaling_spec(model, target, services, bindings),
        complaints,
    )
    if not allows_unsupported:
        refuse_unsupported(model, complaints)
    return Plan(
        model=model,
        places=places,
        services=services,
        loose_tasks=tasks,
        scaling=scaling,
        absent=(*unsupported_lines(model), *complaints),
    )


def _planned(
    resources: Iterable[Resource], planner: Callable[[Resource], Spec], complaints: list[str]
) -> tuple[Spec, ...]:
    found: list[Spec] = []
    for resource in resources:
        try:
            found.append(planner(resource))
        except TwinError as error:
            complaints.append(f"{resource} ({resource.type}): {error}")
    return tuple(found)


def _targets_of(model: Model, services: tuple[ServiceSpec, ...]) -> Iterator[Resource]:
    """Give the scaling targets, but for those of a service that was complained of already."""
    planned = {(service.region, service.name) for service in services}
    for target in model.resources_of(TARGET):
        named = [
            item for item in model.referred_by(target.get("ResourceId")) if item.type == SERVICE
        ]
        if not named or any((item.region, physical_name(item)) in planned for item in named):
            yield target

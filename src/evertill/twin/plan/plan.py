"""The plan: what becomes of every resource, and what will run in each region.

It is separate from the planners of each concern because it only calls them, in the order in which
they bind what the next ones read, and collects what they cannot do: all complaints are told at
once, before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from evertill.assembly import Model, Resource
from evertill.twin.addresses import SITE_FIRST, Addresses
from evertill.twin.errors import TwinError
from evertill.twin.log_patterns import parse
from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec, alarm_spec, composite_spec
from evertill.twin.plan.balancers import Balancing, plan_balancers
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import (
    SERVICE,
    Consumer,
    consumers_of,
    functions_of,
    loose_tasks,
)
from evertill.twin.plan.database_gates import DatabaseGateSpec, plan_database_gates
from evertill.twin.plan.databases import DatabasePlan, plan_databases
from evertill.twin.plan.dns import Dns, plan_dns
from evertill.twin.plan.functions import FunctionSpec, function_spec
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.images import Image
from evertill.twin.plan.places import Places, places_of
from evertill.twin.plan.reading import read_model
from evertill.twin.plan.scaling import TARGET, ScalingSpec, scaling_spec
from evertill.twin.plan.services import LooseTask, ServiceSpec, loose_task, service_spec
from evertill.twin.plan.storage import (
    BucketSpec,
    LogGroupSpec,
    MetricFilterSpec,
    SecretSpec,
    TableSpec,
    TopicSpec,
    bucket_spec,
    log_group_spec,
    metric_filter_specs,
    secret_spec,
    table_spec,
    topic_spec,
)
from evertill.twin.registry import refuse_unsupported, unsupported_lines

NO_DATABASES: Final = DatabasePlan((), ())
NO_BALANCERS: Final = Balancing((), ())
NO_DNS: Final = Dns((), ())
NO_GATES: Final[tuple[DatabaseGateSpec, ...]] = ()
Spec = TypeVar("Spec")


class Storage(msgspec.Struct, frozen=True):
    """What the emulator of each region is filled with."""

    buckets: tuple[BucketSpec, ...]
    topics: tuple[TopicSpec, ...]
    secrets: tuple[SecretSpec, ...]
    tables: tuple[TableSpec, ...]
    log_groups: tuple[LogGroupSpec, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will run. `absent` has a line for each thing that nothing will stand for.

    `addresses` are those that the plan gave away; whatever runs asks the same ones for more.
    """

    model: Model
    places: Places
    addresses: Addresses
    bindings: Bindings
    consumers: tuple[Consumer, ...]
    databases: DatabasePlan
    database_gates: tuple[DatabaseGateSpec, ...]
    balancing: Balancing
    dns: Dns
    storage: Storage
    functions: tuple[FunctionSpec, ...]
    services: tuple[ServiceSpec, ...]
    loose_tasks: tuple[LooseTask, ...]
    scaling: tuple[ScalingSpec, ...]
    alarms: tuple[AlarmSpec, ...]
    composites: tuple[CompositeSpec, ...]
    log_filters: tuple[MetricFilterSpec, ...]
    absent: tuple[str, ...]

    def images(self) -> Iterator[Image]:
        """Give the image of every container, as often as it occurs."""
        tasks = [service.task for service in self.services]
        tasks += [loose.task for loose in self.loose_tasks]
        return (container.image for task in tasks for container in task.containers)


def plan_of(
    path: Path,
    *,
    site: int = SITE_FIRST,
    count_max: int | None = None,
    allows_unsupported: bool = False,
) -> Plan:
    """Return the plan for the assembly at `path`, with the addresses of a site.

    Raises Unsupported with every complaint in it, unless these are allowed and told in the plan;
    and AssemblyUnreadable, TemplateMalformed or PlaceUnknown for what cannot be read at all.
    """
    model = read_model(path)
    places = places_of(model)
    planner = _Planner(model, places, Addresses(site, places.regions))
    plan = planner.plan(path, count_max)
    if not allows_unsupported:
        refuse_unsupported(model, planner.complaints)
    return plan


class _Planner:
    """Calls the planners and keeps what they complain of."""

    def __init__(self, model: Model, places: Places, addresses: Addresses) -> None:
        self.complaints: list[str] = []
        self._model: Final = model
        self._places: Final = places
        self._addresses: Final = addresses
        self._bindings: Final = Bindings(model)

    def plan(self, path: Path, count_max: int | None) -> Plan:
        """Call each planner after those that bind what it reads."""
        model, places, bindings = self._model, self._places, self._bindings
        consumers = consumers_of(model, places)
        groups = SecurityGroups(model)
        databases = self._whole(
            lambda: plan_databases(model, bindings, places, self._addresses), NO_DATABASES
        )
        gates = self._whole(
            lambda: plan_database_gates(model, databases, consumers, bindings, self._addresses),
            NO_GATES,
        )
        balancing = self._whole(
            lambda: plan_balancers(model, bindings, places, groups.may_connect), NO_BALANCERS
        )
        services = self._each(
            model.resources_of(SERVICE),
            lambda item: service_spec(model, item, places, bindings, count_max),
        )
        filters = self._each(
            model.resources_of("AWS::Logs::MetricFilter"), lambda item: _filters(item, bindings)
        )
        return Plan(
            model=model,
            places=places,
            addresses=self._addresses,
            bindings=bindings,
            consumers=consumers,
            databases=databases,
            database_gates=gates,
            balancing=balancing,
            dns=self._whole(lambda: plan_dns(model, bindings), NO_DNS),
            storage=self._storage(),
            functions=self._each(
                functions_of(model),
                lambda item: function_spec(model, item, places, bindings, path),
            ),
            services=services,
            loose_tasks=self._each(
                loose_tasks(model), lambda item: loose_task(model, item, places, bindings)
            ),
            scaling=self._each(
                _targets_of(model, services),
                lambda item: scaling_spec(model, item, services, bindings),
            ),
            alarms=self._each(
                model.resources_of("AWS::CloudWatch::Alarm"),
                lambda item: alarm_spec(item, bindings),
            ),
            composites=self._each(
                model.resources_of("AWS::CloudWatch::CompositeAlarm"),
                lambda item: composite_spec(model, item, bindings),
            ),
            log_filters=tuple(spec for specs in filters for spec in specs),
            absent=(*unsupported_lines(model), *self.complaints),
        )

    def _storage(self) -> Storage:
        model, bindings = self._model, self._bindings
        return Storage(
            self._each(
                model.resources_of("AWS::S3::Bucket"), lambda item: bucket_spec(item, bindings)
            ),
            self._each(
                model.resources_of("AWS::SNS::Topic"),
                lambda item: topic_spec(model, item, bindings),
            ),
            self._each(
                model.resources_of("AWS::SecretsManager::Secret"),
                lambda item: secret_spec(model, item, bindings),
            ),
            self._each(
                model.resources_of("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"),
                lambda item: table_spec(item, bindings),
            ),
            self._each(model.resources_of("AWS::Logs::LogGroup"), log_group_spec),
        )

    def _each(
        self, resources: Iterable[Resource], planner: Callable[[Resource], Spec]
    ) -> tuple[Spec, ...]:
        found: list[Spec] = []
        for resource in resources:
            try:
                found.append(planner(resource))
            except TwinError as error:
                self.complaints.append(f"{resource} ({resource.type}): {error}")
        return tuple(found)

    def _whole(self, planner: Callable[[], Spec], nothing: Spec) -> Spec:
        try:
            return planner()
        except TwinError as error:
            self.complaints.append(str(error))
            return nothing


def _filters(resource: Resource, bindings: Bindings) -> tuple[MetricFilterSpec, ...]:
    specs = metric_filter_specs(resource, bindings)
    for spec in specs:
        parse(spec.pattern)
    return specs


def _targets_of(model: Model, services: tuple[ServiceSpec, ...]) -> Iterator[Resource]:
    """Give the scaling targets, but for those of a service that was complained of already."""
    planned = {(service.region, service.name) for service in services}
    for target in model.resources_of(TARGET):
        named = [
            item for item in model.referred_by(target.get("ResourceId")) if item.type == SERVICE
        ]
        if not named or any((item.region, physical_name(item)) in planned for item in named):
            yield target

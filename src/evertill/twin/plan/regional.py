"""What AWS holds or runs by itself in each region: planned together, complained of together.

It is separate from the planners it calls, each of which knows one kind of resource, and from the
top of the plan, which need not know how many of them there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from evertill.assembly import Model, Resource
from evertill.twin.errors import TwinError
from evertill.twin.plan import alarms, functions, storage
from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.consumers import functions_of
from evertill.twin.plan.functions import FunctionSpec
from evertill.twin.plan.identity import arn_of
from evertill.twin.plan.places import Places
from evertill.twin.plan.storage import (
    BucketSpec,
    LogGroupSpec,
    MetricFilterSpec,
    SecretSpec,
    TableSpec,
    TopicSpec,
)

CERTIFICATE: Final = "AWS::CertificateManager::Certificate"
Spec = TypeVar("Spec")


class RegionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is made, evaluated and run in one region; tables without the global ones."""

    region: str
    buckets: tuple[BucketSpec, ...]
    topics: tuple[TopicSpec, ...]
    secrets: tuple[SecretSpec, ...]
    tables: tuple[TableSpec, ...]
    log_groups: tuple[LogGroupSpec, ...]
    filters: tuple[MetricFilterSpec, ...]
    alarms: tuple[AlarmSpec | CompositeSpec, ...]
    functions: tuple[FunctionSpec, ...]
    certificates: tuple[str, ...]


class AwsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All regions, what they share, and what of the templates nothing can stand for."""

    regions: tuple[RegionPlan, ...]
    global_tables: tuple[TableSpec, ...]
    complaints: tuple[str, ...]


def aws_plan(model: Model, places: Places, bindings: Bindings, assembly: Path) -> AwsPlan:
    """Return the plan of what AWS does by itself, for the assembly in that folder."""
    planner = _Planner(model)
    resources = model.resources_of
    buckets = planner.each(
        resources(storage.BUCKET), lambda item: storage.bucket_spec(item, bindings)
    )
    topics = planner.each(
        resources(storage.TOPIC), lambda item: storage.topic_spec(model, item, bindings)
    )
    secrets = planner.each(
        resources(storage.SECRET), lambda item: storage.secret_spec(model, item, bindings)
    )
    tables = planner.each(
        resources(*storage.TABLES), lambda item: storage.table_spec(item, bindings)
    )
    groups = planner.each(resources(storage.LOG_GROUP), storage.log_group_spec)
    filters = planner.each(
        resources(storage.METRIC_FILTER),
        lambda item: storage.metric_filter_specs(item, bindings),
    )
    watched: list[AlarmSpec | CompositeSpec] = []
    watched += planner.each(
        resources(alarms.METRIC_ALARM), lambda item: alarms.alarm_spec(item, bindings)
    )
    watched += planner.each(
        resources(alarms.COMPOSITE_ALARM),
        lambda item: alarms.composite_spec(model, item, bindings),
    )
    run = planner.each(
        functions_of(model),
        lambda item: functions.function_spec(model, item, places, bindings, assembly),
    )

    def of(region: str) -> RegionPlan:
        return RegionPlan(
            region=region,
            buckets=tuple(spec for spec in buckets if spec.region == region),
            topics=tuple(spec for spec in topics if spec.region == region),
            secrets=tuple(spec for spec in secrets if region in spec.regions),
            tables=tuple(s for s in tables if not s.is_strong and region in s.regions),
            log_groups=tuple(spec for spec in groups if spec.region == region),
            filters=tuple(spec for found in filters for spec in found if spec.region == region),
            alarms=tuple(spec for spec in watched if spec.region == region),
            functions=tuple(spec for spec in run if spec.region == region),
            certificates=tuple(
                str(arn_of(item)) for item in resources(CERTIFICATE) if item.region == region
            ),
        )

    return AwsPlan(
        regions=tuple(map(of, model.regions)),
        global_tables=tuple(spec for spec in tables if spec.is_strong),
        complaints=tuple(planner.complaints),
    )


class _Planner:
    """Plans resource by resource and keeps what it cannot, so that all of it is told at once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.complaints: list[str] = []

    def each(
        self, resources: Iterable[Resource], plan: Callable[[Resource], Spec]
    ) -> tuple[Spec, ...]:
        found: list[Spec] = []
        for resource in resources:
            try:
                found.append(plan(resource))
            except TwinError as error:
                self.complaints.append(f"{resource} ({resource.type}): {error}")
        return tuple(found)

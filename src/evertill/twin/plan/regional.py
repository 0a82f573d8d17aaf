"""One region's part of the plan, as far as AWS holds or runs it by itself.

It is separate from the plan, which lists each concern for all regions, because what is started is
started region by region, and a region is lost as a whole.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.twin.plan.alarms import AlarmSpec, CompositeSpec
from evertill.twin.plan.functions import FunctionSpec
from evertill.twin.plan.identity import arn_of
from evertill.twin.plan.plan import Plan
from evertill.twin.plan.storage import (
    BucketSpec,
    LogGroupSpec,
    MetricFilterSpec,
    SecretSpec,
    TableSpec,
    TopicSpec,
)

CERTIFICATE: Final = "AWS::CertificateManager::Certificate"


class RegionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is made, evaluated and run in one region; tables without the strong global ones."""

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


def region_plan(plan: Plan, region: str) -> RegionPlan:
    """Return what of `plan` is one region's."""
    stored = plan.storage
    return RegionPlan(
        region=region,
        buckets=tuple(spec for spec in stored.buckets if spec.region == region),
        topics=tuple(spec for spec in stored.topics if spec.region == region),
        secrets=tuple(spec for spec in stored.secrets if region in spec.regions),
        tables=tuple(s for s in stored.tables if not s.is_strong and region in s.regions),
        log_groups=tuple(spec for spec in stored.log_groups if spec.region == region),
        filters=tuple(spec for spec in plan.log_filters if spec.region == region),
        alarms=(
            *(spec for spec in plan.alarms if spec.region == region),
            *(spec for spec in plan.composites if spec.region == region),
        ),
        functions=tuple(spec for spec in plan.functions if spec.region == region),
        certificates=tuple(
            str(arn_of(item))
            for item in plan.model.resources_of(CERTIFICATE)
            if item.region == region
        ),
    )


def strong_tables(plan: Plan) -> tuple[TableSpec, ...]:
    """Return the tables that belong to no region alone."""
    return tuple(spec for spec in plan.storage.tables if spec.is_strong)

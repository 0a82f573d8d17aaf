"""Buckets, topics, secrets, tables and log groups: what is made in each region's emulator.

It is separate from what is evaluated or run (alarms, functions), because these are only state: they
are made at the start, by the names that the templates give them, and found again at the next one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.assembly.model import child
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings, Unbound
from evertill.twin.plan.identity import arn_of, physical_name

BUCKET: Final = "AWS::S3::Bucket"
TOPIC: Final = "AWS::SNS::Topic"
SUBSCRIPTION: Final = "AWS::SNS::Subscription"
SECRET: Final = "AWS::SecretsManager::Secret"  # noqa: S105 - a type of resource
ATTACHMENT: Final = "AWS::SecretsManager::SecretTargetAttachment"
TABLES: Final = ("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table")
LOG_GROUP: Final = "AWS::Logs::LogGroup"
METRIC_FILTER: Final = "AWS::Logs::MetricFilter"
BUCKET_ARN: Final = "arn:aws:s3:::"
PASSWORD_LENGTH: Final = 32
THRESHOLD_MIN: Final = 15


class StorageUnsupported(TwinError):
    """The twin cannot make a bucket, topic, secret or table of the templates."""

    code = "storage_unsupported"


class ReplicationRule(msgspec.Struct, frozen=True, kw_only=True):
    """What of a bucket is copied where; metrics are published where the template asks for them."""

    id: str
    prefix: str
    destination: str
    copies_delete_markers: bool = False
    publishes_metrics: bool = False
    threshold_min: float = THRESHOLD_MIN


class BucketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket; `lock` is the default retention, mode and days, of a bucket with Object Lock."""

    region: str
    name: str
    is_versioned: bool = False
    has_lock: bool = False
    lock: tuple[str, int] | None = None
    rules: tuple[ReplicationRule, ...] = ()


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A topic and who is subscribed: protocol and endpoint."""

    region: str
    name: str
    arn: str
    subscriptions: tuple[tuple[str, str], ...] = ()


class SecretSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A secret: its text, or how it is generated once; `target` is where its database is."""

    regions: tuple[str, ...]
    name: str
    arn: str
    text: str = ""
    template: str = ""
    key: str = ""
    length: int = PASSWORD_LENGTH
    excluded: str = ""
    target: dict[str, str] = {}


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A table and the regions of its replicas; a strong one has a witness as third region."""

    regions: tuple[str, ...]
    name: str
    keys: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]
    is_strong: bool = False
    witnesses: tuple[str, ...] = ()


class LogGroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A log group."""

    region: str
    name: str


class MetricFilterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What lines of a log group count as: a pattern, and the metric that each match publishes."""

    region: str
    log_group: str
    pattern: str
    namespace: str
    metric: str
    value: str
    unit: str = "None"


def bucket_spec(resource: Resource, bindings: Bindings) -> BucketSpec:
    """Return a bucket; raise StorageUnsupported for a rule that cannot be followed."""
    mode = resource.text("ObjectLockConfiguration.Rule.DefaultRetention.Mode")
    days = resource.number("ObjectLockConfiguration.Rule.DefaultRetention.Days")
    years = resource.number("ObjectLockConfiguration.Rule.DefaultRetention.Years")
    kept_days = int(days or (years or 0) * 365)
    rules = resource.items("ReplicationConfiguration.Rules")
    return BucketSpec(
        region=_region(resource),
        name=_name(resource, bindings),
        is_versioned=resource.text("VersioningConfiguration.Status") == "Enabled",
        has_lock=resource.flag("ObjectLockEnabled") is True,
        lock=(mode, kept_days) if mode and kept_days else None,
        rules=tuple(
            _rule(resource, rule, bindings) for rule in rules if child(rule, "Status") == "Enabled"
        ),
    )


def topic_spec(model: Model, resource: Resource, bindings: Bindings) -> TopicSpec:
    """Return a topic with the subscriptions of its own and of their own resources."""
    inner = [(resource, f"Subscription.{i}.") for i in range(len(resource.items("Subscription")))]
    outer = [
        (item, "")
        for item in model.resources_of(SUBSCRIPTION)
        if resource in model.referred_by(item.get("TopicArn"))
        or item.get("TopicArn") == arn_of(resource)
    ]
    return TopicSpec(
        region=_region(resource),
        name=physical_name(resource),
        arn=str(arn_of(resource)),
        subscriptions=tuple(
            (str(item.text(f"{at}Protocol")), bindings.text(item.get(f"{at}Endpoint")))
            for item, at in (*inner, *outer)
        ),
    )


def secret_spec(model: Model, resource: Resource, bindings: Bindings) -> SecretSpec:
    """Return a secret; what its database's address is comes from who binds the database."""
    generated = "GenerateSecretString."
    text = resource.get("SecretString")
    replicas = [child(item, "Region") for item in resource.items("ReplicaRegions")]
    return SecretSpec(
        regions=(_region(resource), *map(bindings.text, replicas)),
        name=physical_name(resource),
        arn=str(arn_of(resource)),
        text=bindings.text(text) if text is not None else "",
        template=bindings.text(resource.get(f"{generated}SecretStringTemplate") or ""),
        key=resource.text(f"{generated}GenerateStringKey") or "",
        length=int(resource.number(f"{generated}PasswordLength", PASSWORD_LENGTH) or 0),
        excluded=bindings.text(resource.get(f"{generated}ExcludeCharacters") or ""),
        target=_target(model, resource, bindings),
    )


def table_spec(resource: Resource, bindings: Bindings) -> TableSpec:
    """Return a table; one without replicas is in its own region."""
    replicas = [bindings.text(child(item, "Region")) for item in resource.items("Replicas")]
    witnesses = [child(item, "Region") for item in resource.items("GlobalTableWitnesses")]
    spec = TableSpec(
        regions=tuple(replicas) or (_region(resource),),
        name=physical_name(resource),
        keys=_pairs(resource, "KeySchema", "AttributeName", "KeyType"),
        attributes=_pairs(resource, "AttributeDefinitions", "AttributeName", "AttributeType"),
        is_strong=resource.text("MultiRegionConsistency") == "STRONG",
        witnesses=tuple(map(bindings.text, witnesses)),
    )
    if resource.has("GlobalSecondaryIndexes") or resource.has("LocalSecondaryIndexes"):
        raise StorageUnsupported(f"The twin makes no indexes, as {spec.name} has.")
    if len(spec.regions) > 1 and not spec.is_strong:
        raise StorageUnsupported(
            f"The twin has global tables with strong consistency only; {spec.name} is eventual."
        )
    return spec


def log_group_spec(resource: Resource) -> LogGroupSpec:
    """Return a log group."""
    return LogGroupSpec(region=_region(resource), name=physical_name(resource))


def metric_filter_specs(resource: Resource, bindings: Bindings) -> tuple[MetricFilterSpec, ...]:
    """Return what a filter publishes, one for each of its transformations."""
    at = "MetricTransformations"
    return tuple(
        MetricFilterSpec(
            region=_region(resource),
            log_group=bindings.text(resource.get("LogGroupName")),
            pattern=bindings.text(resource.get("FilterPattern") or ""),
            namespace=bindings.text(resource.get(f"{at}.{index}.MetricNamespace")),
            metric=bindings.text(resource.get(f"{at}.{index}.MetricName")),
            value=bindings.text(resource.get(f"{at}.{index}.MetricValue")),
            unit=resource.text(f"{at}.{index}.Unit", "None") or "None",
        )
        for index in range(len(resource.items(at)))
    )


def _rule(resource: Resource, rule: Value, bindings: Bindings) -> ReplicationRule:
    prefix = child(child(rule, "Filter"), "Prefix") or child(rule, "Prefix") or ""
    bucket = bindings.text(child(child(rule, "Destination"), "Bucket"))
    if child(child(rule, "Filter"), "TagFilter") or child(child(rule, "Filter"), "And"):
        raise StorageUnsupported(f"{physical_name(resource)} copies by tags.")
    metrics = child(child(rule, "Destination"), "Metrics")
    minutes = child(child(metrics, "EventThreshold"), "Minutes")
    return ReplicationRule(
        id=bindings.text(child(rule, "Id") or "rule"),
        prefix=bindings.text(prefix),
        destination=bucket.removeprefix(BUCKET_ARN),
        copies_delete_markers=child(child(rule, "DeleteMarkerReplication"), "Status") == "Enabled",
        publishes_metrics=child(metrics, "Status") == "Enabled",
        threshold_min=float(minutes) if isinstance(minutes, int | float) else THRESHOLD_MIN,
    )


def _target(model: Model, secret: Resource, bindings: Bindings) -> dict[str, str]:
    """Return what an attachment adds to a secret: the engine, address and port of its database."""
    for attachment in model.referrers(secret, ATTACHMENT):
        if secret not in model.referred_by(attachment.get("SecretId")):
            continue
        for database in model.referred_by(attachment.get("TargetId")):
            reference = database.reference
            found = {
                "engine": "postgres",
                "host": _bound(bindings, reference, "Endpoint.Address"),
                "port": _bound(bindings, reference, "Endpoint.Port"),
                "dbname": database.text("DatabaseName") or "",
                "dbClusterIdentifier": physical_name(database),
            }
            return {name: text for name, text in found.items() if text}
    return {}


def _bound(bindings: Bindings, reference: Reference, attribute: str) -> str:
    try:
        return bindings.text(msgspec.structs.replace(reference, attribute=attribute))
    except Unbound:
        return ""


def _pairs(resource: Resource, path: str, first: str, second: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(child(item, first)), str(child(item, second))) for item in resource.items(path)
    )


def _name(resource: Resource, bindings: Bindings) -> str:
    """Return a name that may be made of the account and the region."""
    return physical_name(resource) if resource.name is None else bindings.text(resource.name)


def _region(resource: Resource) -> str:
    if resource.region is None:
        raise StorageUnsupported(f"No template tells in which region {resource} is.")
    return resource.region

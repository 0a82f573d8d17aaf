"""From the model to hosted zones, records and health checks: `Model -> specifications`.

It is separate from the planner of load balancers, whose names aliases stand for. Routing policies
that need to know where a client is (latency, geolocation, networks) are refused by name.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.assembly.model import as_text, child
from evertill.twin.errors import TwinError
from evertill.twin.plan import dns_specs as specs
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.dns_specs import (
    AliasTarget,
    CheckKind,
    CheckSpec,
    Insufficient,
    Record,
    ZoneSpec,
    absolute,
)

ZONE: Final = "AWS::Route53::HostedZone"
RECORD: Final = "AWS::Route53::RecordSet"
RECORD_GROUP: Final = "AWS::Route53::RecordSetGroup"
CHECK: Final = "AWS::Route53::HealthCheck"
ALARM: Final = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
NEEDS_A_PLACE: Final = ("Region", "GeoLocation", "CidrRoutingConfig", "GeoProximityLocation")
SERVERS: Final = "ns-1.awsdns-01.com"
PORTS: Final = {"HTTPS": 443, "HTTPS_STR_MATCH": 443}


class DnsUnsupported(TwinError):
    """The twin's DNS cannot do that."""

    code = "dns_unsupported"


class Dns(msgspec.Struct, frozen=True):
    """All hosted zones, with their records, and all health checks of an assembly."""

    zones: tuple[ZoneSpec, ...]
    checks: tuple[CheckSpec, ...]


def plan_dns(model: Model, bindings: Bindings) -> Dns:
    """Return zones and health checks; raise DnsUnsupported for what the twin cannot do."""
    for zone in model.resources_of(ZONE):
        bindings.bind(Reference(zone.stack, zone.logical_id, "NameServers"), SERVERS)
    records: dict[str, list[Record]] = {}
    for owner, properties in _records(model):
        zone_id, record = _record(owner, properties, model, bindings)
        records.setdefault(zone_id, []).append(record)
    zones = [_zone(zone, records, bindings) for zone in model.resources_of(ZONE)]
    known = {zone.id for zone in zones}
    strange = [
        record.name for zone_id in records if zone_id not in known for record in records[zone_id]
    ]
    if strange:
        message = f"The templates do not have the zone of the record {strange[0]}"
        raise DnsUnsupported(f"{message}, so the twin cannot answer for it.")
    return Dns(
        tuple(zones), tuple(_check(item, model, bindings) for item in model.resources_of(CHECK))
    )


def _records(model: Model) -> list[tuple[Resource, Resource]]:
    """Give each record with the resource that holds it; those of a group as if they stood alone."""
    found = [(item, item) for item in model.resources_of(RECORD)]
    for group in model.resources_of(RECORD_GROUP):
        for item in group.items("RecordSets"):
            shared = {
                name: group.get(name)
                for name in ("HostedZoneId", "HostedZoneName")
                if group.has(name)
            }
            properties = shared | (item if isinstance(item, dict) else {})
            found.append((group, msgspec.structs.replace(group, properties=properties)))
    return found


def _zone(zone: Resource, records: dict[str, list[Record]], bindings: Bindings) -> ZoneSpec:
    zone_id = bindings.text(zone.reference)
    return ZoneSpec(
        id=zone_id,
        name=absolute(bindings.text(zone.get("Name"))),
        records=tuple(records.get(zone_id, ())),
        is_private=bool(zone.items("VPCs")),
        comment=zone.text("HostedZoneConfig.Comment") or "",
    )


def _record(
    owner: Resource, record: Resource, model: Model, bindings: Bindings
) -> tuple[str, Record]:
    for policy in NEEDS_A_PLACE:
        if record.has(policy):
            message = f"{owner} ({owner.type}) routes by {policy}, which the twin cannot do."
            raise DnsUnsupported(message)
    weight = record.number("Weight")
    failover = record.text("Failover", "") or ""
    check = record.get("HealthCheckId")
    return _zone_id(owner, record, model, bindings), Record(
        name=absolute(bindings.text(record.get("Name"))),
        type=bindings.text(record.get("Type")),
        ttl_s=int(record.number("TTL") or 0),
        values=tuple(bindings.text(value) for value in record.items("ResourceRecords")),
        alias=_alias(record, bindings),
        set_identifier=record.text("SetIdentifier", "") or "",
        health_check="" if check is None else bindings.text(check),
        weight=None if weight is None else int(weight),
        failover="PRIMARY" if failover == "PRIMARY" else "SECONDARY" if failover else "",
        is_multi_value=record.flag("MultiValueAnswer") or False,
    )


def _alias(record: Resource, bindings: Bindings) -> AliasTarget | None:
    target = record.get("AliasTarget")
    if target is None:
        return None
    # The console writes this before the names of load balancers, and Route 53 reads past it.
    name = bindings.text(child(target, "DNSName")).lower().removeprefix("dualstack.")
    evaluates = (as_text(child(target, "EvaluateTargetHealth")) or "").lower() == "true"
    return AliasTarget(name, bindings.text(child(target, "HostedZoneId")), evaluates)


def _zone_id(owner: Resource, record: Resource, model: Model, bindings: Bindings) -> str:
    if record.has("HostedZoneId"):
        return bindings.text(record.get("HostedZoneId"))
    name = absolute(bindings.text(record.get("HostedZoneName")))
    for zone in model.resources_of(ZONE):
        if absolute(bindings.text(zone.get("Name"))) == name:
            return bindings.text(zone.reference)
    message = f"{owner} ({owner.type}) belongs to the zone {name}, which no template makes."
    raise DnsUnsupported(message)


def _check(resource: Resource, model: Model, bindings: Bindings) -> CheckSpec:
    config = "HealthCheckConfig"
    kind = _kind(resource)
    tags = {
        as_text(child(tag, "Key")): as_text(child(tag, "Value"))
        for tag in resource.items("HealthCheckTags")
    }
    path = resource.text(f"{config}.ResourcePath", "/") or "/"
    return CheckSpec(
        id=bindings.text(resource.reference),
        kind=kind,
        name=tags.get("Name") or resource.logical_id,
        domain_name=_text(resource.get(f"{config}.FullyQualifiedDomainName"), bindings),
        address=_text(resource.get(f"{config}.IPAddress"), bindings),
        port=int(resource.number(f"{config}.Port", PORTS.get(kind, 80)) or 80),
        path=path if path.startswith("/") else f"/{path}",
        search=resource.text(f"{config}.SearchString", "") or "",
        sends_server_name=resource.flag(f"{config}.EnableSNI", default=kind in PORTS) or False,
        interval_s=resource.number(f"{config}.RequestInterval") or specs.CHECK_INTERVAL_S,
        threshold=int(resource.number(f"{config}.FailureThreshold") or specs.FAILURE_THRESHOLD),
        regions=tuple(map(str, resource.items(f"{config}.Regions"))),
        is_inverted=resource.flag(f"{config}.Inverted") or False,
        is_disabled=resource.flag(f"{config}.Disabled") or False,
        children=tuple(bindings.text(v) for v in resource.items(f"{config}.ChildHealthChecks")),
        healthy_children_min=int(resource.number(f"{config}.HealthThreshold") or 0),
        alarm=_alarm(resource, model, bindings),
        insufficient_data=_insufficient(resource),
    )


def _kind(resource: Resource) -> CheckKind:
    kind = resource.text("HealthCheckConfig.Type") or "?"
    for known in get_args(CheckKind):
        if known == kind:
            found: CheckKind = known
            return found
    message = f"{resource} ({resource.type}) is of type {kind}, which the twin cannot do."
    raise DnsUnsupported(message)


def _alarm(resource: Resource, model: Model, bindings: Bindings) -> tuple[str, str]:
    identifier = resource.get("HealthCheckConfig.AlarmIdentifier")
    if identifier is None:
        return "", ""
    region = bindings.text(child(identifier, "Region"))
    alarm = model.find(child(identifier, "Name"), *ALARM, region=region)
    named = child(identifier, "Name") if alarm is None else alarm.reference
    return region, bindings.text(named)


def _insufficient(resource: Resource) -> Insufficient:
    named = resource.text("HealthCheckConfig.InsufficientDataHealthStatus")
    words: tuple[Insufficient, ...] = ("Healthy", "Unhealthy")
    return next((word for word in words if word == named), "LastKnownStatus")


def _text(value: Value, bindings: Bindings) -> str:
    return "" if value is None else bindings.text(value)

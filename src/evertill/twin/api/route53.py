"""Route 53 as boto3 asks for it: zones, records, health checks and what a question would get.

It is separate because it is the control plane, which can be broken alone: on AWS it stands in one
region, and DNS goes on answering without it.
https://docs.aws.amazon.com/Route53/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from evertill.twin.api.errors import ApiError
from evertill.twin.parts.health_checker import HealthChecker, Observation
from evertill.twin.parts.hosted_zones import HostedZones, RecordExists, RecordMissing, Zone
from evertill.twin.plan.dns_specs import AliasTarget, CheckSpec, Record, absolute

NOT_FOUND: Final = 404
UNAVAILABLE: Final = 503
ITEMS_MAX: Final = 300
CHANGES_MAX: Final = 1_000
ZONE_PREFIX: Final = "/hostedzone/"


class Dns:
    """The operations; Route 53 is one for all regions."""

    def __init__(
        self, zones: HostedZones, checker: HealthChecker, now: Callable[[], datetime]
    ) -> None:
        """Answer for these; `now` is the twin's time."""
        self._zones = zones
        self._checker = checker
        self._now = now
        self.is_broken = False

    async def list_hosted_zones(self, **_: object) -> dict[str, Any]:
        """Return every zone."""
        self._works()
        zones = [_zone(zone) for zone in self._zones.zones.values()]
        return {"HostedZones": zones, "Marker": "", "IsTruncated": False, "MaxItems": "100"}

    async def list_hosted_zones_by_name(
        self,
        DNSName: str = "",  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return zones in the order of their names, from one on."""
        self._works()
        zones = sorted(self._zones.zones.values(), key=lambda zone: _reversed(zone.name))
        first = _reversed(absolute(DNSName)) if DNSName else []
        found = [_zone(zone) for zone in zones if _reversed(zone.name) >= first]
        return {"HostedZones": found, "IsTruncated": False, "MaxItems": "100"}

    async def get_hosted_zone(self, Id: str, **_: object) -> dict[str, Any]:  # noqa: N803 - AWS's
        """Return one zone."""
        self._works()
        zone = self._zone(Id)
        servers = [r.values[0].rstrip(".") for r in zone.records() if r.type == "NS"]
        return {"HostedZone": _zone(zone), "DelegationSet": {"NameServers": servers}}

    async def list_resource_record_sets(
        self,
        HostedZoneId: str,  # noqa: N803 - AWS names it so
        StartRecordName: str = "",  # noqa: N803 - AWS names it so
        StartRecordType: str = "",  # noqa: N803 - AWS names it so
        StartRecordIdentifier: str = "",  # noqa: N803 - AWS names it so
        MaxItems: str = str(ITEMS_MAX),  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return the records of a zone in AWS's order, from one on."""
        self._works()
        start = (_reversed(absolute(StartRecordName)), StartRecordType, StartRecordIdentifier)
        records = [
            record
            for record in self._zone(HostedZoneId).records()
            if not StartRecordName
            or (_reversed(record.name), record.type, record.set_identifier) >= start
        ]
        limit = min(int(MaxItems), ITEMS_MAX)
        answer: dict[str, Any] = {
            "ResourceRecordSets": [_record(record) for record in records[:limit]],
            "IsTruncated": len(records) > limit,
            "MaxItems": str(limit),
        }
        if len(records) > limit:
            following = records[limit]
            answer |= {"NextRecordName": following.name, "NextRecordType": following.type}
            if following.set_identifier:
                answer["NextRecordIdentifier"] = following.set_identifier
        return answer

    async def change_resource_record_sets(
        self,
        HostedZoneId: str,  # noqa: N803 - AWS names it so
        ChangeBatch: Mapping[str, Any],  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Change records, all or none, at once; raise ApiError for what cannot be."""
        self._works()
        zone = self._zone(HostedZoneId)
        changes = [
            (str(change["Action"]), _parsed(change["ResourceRecordSet"]))
            for change in ChangeBatch["Changes"]
        ]
        if len(changes) > CHANGES_MAX:
            raise ApiError("InvalidChangeBatch", f"More than {CHANGES_MAX} changes")
        try:
            zone.change(changes)
        except (RecordExists, RecordMissing) as refused:
            raise ApiError("InvalidChangeBatch", str(refused)) from refused
        return {"ChangeInfo": self._change(f"C{uuid4().hex[:20].upper()}")}

    async def get_change(self, Id: str, **_: object) -> dict[str, Any]:  # noqa: N803 - AWS's
        """Return that a change has arrived: here they all do at once."""
        self._works()
        return {"ChangeInfo": self._change(Id.removeprefix("/change/"))}

    async def list_health_checks(self, **_: object) -> dict[str, Any]:
        """Return every health check."""
        self._works()
        checks = [_check(spec) for spec in self._checker.specs.values()]
        return {"HealthChecks": checks, "Marker": "", "IsTruncated": False, "MaxItems": "100"}

    async def get_health_check(
        self,
        HealthCheckId: str,  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return one health check."""
        self._works()
        return {"HealthCheck": _check(self._check(HealthCheckId))}

    async def get_health_check_status(
        self,
        HealthCheckId: str,  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return what each vantage point saw last."""
        self._works()
        self._check(HealthCheckId)
        seen = self._checker.observations(HealthCheckId)
        return {"HealthCheckObservations": [_observation(item) for item in seen]}

    async def get_health_check_last_failure_reason(
        self,
        HealthCheckId: str,  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return what the vantage points that see a failure say."""
        self._works()
        self._check(HealthCheckId)
        seen = [o for o in self._checker.observations(HealthCheckId) if not o.is_healthy]
        return {"HealthCheckObservations": [_observation(item) for item in seen]}

    async def test_dns_answer(
        self,
        HostedZoneId: str,  # noqa: N803 - AWS names it so
        RecordName: str,  # noqa: N803 - AWS names it so
        RecordType: str,  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return what a question would get now."""
        self._works()
        resolver = self._zones.resolver(self._zone(HostedZoneId))
        answer = resolver.answer(RecordName, RecordType)
        return {
            "Nameserver": "ns-1.awsdns-01.com",
            "RecordName": RecordName,
            "RecordType": answer.type,
            "RecordData": list(answer.values),
            "ResponseCode": "NOERROR" if answer.exists else "NXDOMAIN",
            "Protocol": "UDP",
        }

    def _works(self) -> None:
        if self.is_broken:
            message = "Route 53's control plane does not answer: a fault is set."
            raise ApiError("ServiceUnavailable", message, UNAVAILABLE)

    def _zone(self, identifier: str) -> Zone:
        zone = self._zones.zones.get(identifier.removeprefix(ZONE_PREFIX))
        if zone is None:
            message = f"No hosted zone found with ID: {identifier}"
            raise ApiError("NoSuchHostedZone", message, NOT_FOUND)
        return zone

    def _check(self, identifier: str) -> CheckSpec:
        spec = self._checker.specs.get(identifier)
        if spec is None:
            message = f"No health check exists with the specified ID: {identifier}"
            raise ApiError("NoSuchHealthCheck", message, NOT_FOUND)
        return spec

    def _change(self, identifier: str) -> dict[str, Any]:
        return {"Id": f"/change/{identifier}", "Status": "INSYNC", "SubmittedAt": self._now()}


def _reversed(name: str) -> list[str]:
    return name.split(".")[::-1]


def _zone(zone: Zone) -> dict[str, Any]:
    return {
        "Id": f"{ZONE_PREFIX}{zone.id}",
        "Name": zone.name,
        "CallerReference": zone.id,
        "Config": {"Comment": zone.spec.comment, "PrivateZone": zone.spec.is_private},
        "ResourceRecordSetCount": len(zone.records()),
    }


def _record(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"Name": record.name.replace("*", "\\052"), "Type": record.type}
    if record.alias is None:
        told["TTL"] = record.ttl_s
        told["ResourceRecords"] = [{"Value": value} for value in record.values]
    else:
        told["AliasTarget"] = {
            "HostedZoneId": record.alias.zone_id,
            "DNSName": f"{record.alias.dns_name.rstrip('.')}.",
            "EvaluateTargetHealth": record.alias.evaluates_health,
        }
    optional: Sequence[tuple[str, Any, bool]] = (
        ("SetIdentifier", record.set_identifier, bool(record.set_identifier)),
        ("Weight", record.weight, record.weight is not None),
        ("Failover", record.failover, bool(record.failover)),
        ("MultiValueAnswer", True, record.is_multi_value),
        ("HealthCheckId", record.health_check, bool(record.health_check)),
    )
    return told | {name: value for name, value, is_set in optional if is_set}


def _parsed(told: Mapping[str, Any]) -> Record:
    for policy in ("Region", "GeoLocation", "CidrRoutingConfig", "GeoProximityLocation"):
        if policy in told:
            raise ApiError("InvalidInput", f"The twin cannot route by {policy}.")
    alias = told.get("AliasTarget")
    target = None
    if alias is not None:
        name = str(alias["DNSName"]).rstrip(".").lower().removeprefix("dualstack.")
        target = AliasTarget(name, alias["HostedZoneId"], alias["EvaluateTargetHealth"])
    return Record(
        name=absolute(told["Name"]),
        type=told["Type"],
        ttl_s=int(told.get("TTL", 0)),
        values=tuple(item["Value"] for item in told.get("ResourceRecords", ())),
        alias=target,
        set_identifier=told.get("SetIdentifier", ""),
        health_check=told.get("HealthCheckId", ""),
        weight=told.get("Weight"),
        failover=told.get("Failover", ""),
        is_multi_value=bool(told.get("MultiValueAnswer", False)),
    )


def _check(spec: CheckSpec) -> dict[str, Any]:
    config: dict[str, Any] = {"Type": spec.kind, "Inverted": spec.is_inverted}
    config["Disabled"] = spec.is_disabled
    if spec.kind == "CALCULATED":
        config["ChildHealthChecks"] = list(spec.children)
        config["HealthThreshold"] = spec.healthy_children_min
    elif spec.kind == "CLOUDWATCH_METRIC":
        region, name = spec.alarm
        config["AlarmIdentifier"] = {"Region": region, "Name": name}
        config["InsufficientDataHealthStatus"] = spec.insufficient_data
    else:
        config |= {
            "Port": spec.port,
            "RequestInterval": int(spec.interval_s),
            "FailureThreshold": spec.threshold,
        }
        texts = {
            "ResourcePath": spec.path if spec.kind != "TCP" else "",
            "FullyQualifiedDomainName": spec.domain_name,
            "IPAddress": spec.address,
            "SearchString": spec.search,
        }
        config |= {name: text for name, text in texts.items() if text}
    return {
        "Id": spec.id,
        "CallerReference": spec.id,
        "HealthCheckConfig": config,
        "HealthCheckVersion": 1,
    }


def _observation(seen: Observation) -> dict[str, Any]:
    return {
        "Region": seen.region,
        "StatusReport": {
            "Status": seen.text,
            "CheckedTime": datetime.fromtimestamp(seen.epoch_s, UTC),
        },
    }

"""Elastic Load Balancing as boto3 asks for it: what there is, and how targets are.

It is separate because it only reads the parts. Targets can be registered and deregistered by hand,
as on AWS; what a service registered it will register again.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from evertill.twin.api.errors import ApiError
from evertill.twin.parts.balancer import Balancer
from evertill.twin.parts.target_group import Health, Target, TargetGroup
from evertill.twin.plan.balancer_specs import (
    Action,
    Condition,
    FixedResponse,
    Forward,
    ListenerSpec,
    Redirect,
    Rule,
)

SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "path": ("path-pattern", "PathPatternConfig"),
    "host": ("host-header", "HostHeaderConfig"),
    "header": ("http-header", "HttpHeaderConfig"),
    "method": ("http-request-method", "HttpRequestMethodConfig"),
    "query": ("query-string", "QueryStringConfig"),
    "source": ("source-ip", "SourceIpConfig"),
}


class LoadBalancing:
    """The operations for one region."""

    def __init__(self, balancers: Sequence[Balancer], groups: Sequence[TargetGroup]) -> None:
        """Answer for these."""
        self._balancers = balancers
        self._groups = groups

    async def describe_load_balancers(
        self,
        LoadBalancerArns: Sequence[str] = (),  # noqa: N803 - AWS names it so
        Names: Sequence[str] = (),  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return load balancers; raise ApiError for one that is not there."""
        found = [
            balancer
            for balancer in self._balancers
            if (not LoadBalancerArns or balancer.spec.arn in LoadBalancerArns)
            and (not Names or balancer.spec.name in Names)
        ]
        if len(found) < max(len(LoadBalancerArns), len(Names)):
            raise ApiError("LoadBalancerNotFound", "One or more load balancers not found")
        return {"LoadBalancers": [_balancer(balancer) for balancer in found]}

    async def describe_listeners(
        self,
        LoadBalancerArn: str = "",  # noqa: N803 - AWS names it so
        ListenerArns: Sequence[str] = (),  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return listeners of a load balancer, or by ARN."""
        return {
            "Listeners": [
                _listener(balancer, listener)
                for balancer, listener in self._listeners()
                if LoadBalancerArn == balancer.spec.arn or listener.arn in ListenerArns
            ]
        }

    async def describe_rules(
        self,
        ListenerArn: str = "",  # noqa: N803 - AWS names it so
        RuleArns: Sequence[str] = (),  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return rules of a listener, or by ARN; the default comes last."""
        rules: list[dict[str, Any]] = []
        for listener in [listener for _, listener in self._listeners()]:
            rules += [
                _rule(rule)
                for rule in listener.rules
                if listener.arn == ListenerArn or rule.arn in RuleArns
            ]
            if listener.arn == ListenerArn:
                rules.append(_default(listener))
        return {"Rules": rules}

    async def describe_target_groups(
        self,
        TargetGroupArns: Sequence[str] = (),  # noqa: N803 - AWS names it so
        Names: Sequence[str] = (),  # noqa: N803 - AWS names it so
        LoadBalancerArn: str = "",  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return target groups; raise ApiError for one that is not there."""
        behind = {
            arn
            for balancer in self._balancers
            if balancer.spec.arn == LoadBalancerArn
            for arn in balancer.spec.groups()
        }
        found = [
            group
            for group in self._groups
            if (not TargetGroupArns or group.spec.arn in TargetGroupArns)
            and (not Names or group.spec.name in Names)
            and (not LoadBalancerArn or group.spec.arn in behind)
        ]
        if len(found) < max(len(TargetGroupArns), len(Names)):
            raise ApiError("TargetGroupNotFound", "One or more target groups not found")
        return {"TargetGroups": [self._target_group(group) for group in found]}

    async def describe_target_health(
        self,
        TargetGroupArn: str,  # noqa: N803 - AWS names it so
        Targets: Sequence[Mapping[str, Any]] = (),  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Return how each target is, or each of those that are named."""
        group = self._group(TargetGroupArn)
        described = [
            _health(target.host, target.port, target.zone, group.health(*target.key), group)
            for target in group.targets()
            if not Targets or _is_named(target, Targets)
        ]
        known = {entry["Target"]["Id"] for entry in described}
        for named in Targets:
            if named["Id"] not in known:
                port = int(named.get("Port", group.spec.port))
                unknown = group.health(named["Id"], port)
                described.append(_health(named["Id"], port, "", unknown, group))
        return {"TargetHealthDescriptions": described}

    async def register_targets(
        self,
        TargetGroupArn: str,  # noqa: N803 - AWS names it so
        Targets: Sequence[Mapping[str, Any]],  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Take in targets by address; a zone must be named, as an address here tells none."""
        group = self._group(TargetGroupArn)
        for target in Targets:
            zone = str(target.get("AvailabilityZone", ""))
            if not zone:
                raise ApiError("ValidationError", "The twin needs an AvailabilityZone here.")
            group.register(target["Id"], int(target.get("Port", group.spec.port)), zone)
        return {}

    async def deregister_targets(
        self,
        TargetGroupArn: str,  # noqa: N803 - AWS names it so
        Targets: Sequence[Mapping[str, Any]],  # noqa: N803 - AWS names it so
        **_: object,
    ) -> dict[str, Any]:
        """Let targets drain; raise ApiError for one that is not there."""
        group = self._group(TargetGroupArn)
        for named in Targets:
            found = [target for target in group.targets() if _is_named(target, [named])]
            if not found:
                raise ApiError("InvalidTarget", f"The target {named['Id']} is not registered")
            for target in found:
                group.begin_deregistration(*target.key)
        return {}

    def _listeners(self) -> Iterable[tuple[Balancer, ListenerSpec]]:
        return ((b, listener) for b in self._balancers for listener in b.spec.listeners)

    def _group(self, arn: str) -> TargetGroup:
        for group in self._groups:
            if group.spec.arn == arn:
                return group
        raise ApiError("TargetGroupNotFound", f"Target group '{arn}' not found")

    def _target_group(self, group: TargetGroup) -> dict[str, Any]:
        spec, check = group.spec, group.spec.check
        described: dict[str, Any] = {
            "TargetGroupArn": spec.arn,
            "TargetGroupName": spec.name,
            "TargetType": spec.kind,
            "HealthCheckEnabled": check.is_enabled,
            "HealthCheckIntervalSeconds": int(check.interval_s),
            "HealthCheckTimeoutSeconds": int(check.timeout_s),
            "HealthyThresholdCount": check.healthy_count,
            "UnhealthyThresholdCount": check.unhealthy_count,
            "HealthCheckPath": check.path,
            "Matcher": {"HttpCode": check.matcher},
            "LoadBalancerArns": [
                balancer.spec.arn
                for balancer in self._balancers
                if spec.arn in balancer.spec.groups()
            ],
        }
        if spec.kind == "ip":
            described |= {
                "Protocol": spec.protocol,
                "Port": spec.port,
                "HealthCheckProtocol": check.protocol,
                "HealthCheckPort": str(check.port or "traffic-port"),
            }
        return described


def _is_named(target: Target, named: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        item["Id"] == target.host and int(item.get("Port", target.port)) == target.port
        for item in named
    )


def _balancer(balancer: Balancer) -> dict[str, Any]:
    spec = balancer.spec
    nodes = balancer.status()["nodes"]
    return {
        "LoadBalancerArn": spec.arn,
        "DNSName": spec.dns_name,
        "CanonicalHostedZoneId": spec.hosted_zone_id,
        "LoadBalancerName": spec.name,
        "Scheme": "internal" if spec.is_internal else "internet-facing",
        "State": {"Code": "active" if balancer.is_running else "provisioning"},
        "Type": "application",
        "IpAddressType": "ipv4",
        "AvailabilityZones": [
            {"ZoneName": zone, "LoadBalancerAddresses": [{"IpAddress": nodes[zone]["address"]}]}
            for zone in spec.zones
        ],
    }


def _listener(balancer: Balancer, listener: ListenerSpec) -> dict[str, Any]:
    described: dict[str, Any] = {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": balancer.spec.arn,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "DefaultActions": [_action(listener.default)],
    }
    return described | ({"SslPolicy": listener.policy} if listener.policy else {})


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "RuleArn": rule.arn,
        "Priority": str(rule.priority),
        "Conditions": [_condition(item) for item in rule.conditions],
        "Actions": [_action(rule.action)],
        "IsDefault": False,
    }


def _default(listener: ListenerSpec) -> dict[str, Any]:
    return {
        "RuleArn": f"{listener.arn}/default".replace(":listener/", ":listener-rule/"),
        "Priority": "default",
        "Conditions": [],
        "Actions": [_action(listener.default)],
        "IsDefault": True,
    }


def _condition(condition: Condition) -> dict[str, Any]:
    field, section = SECTIONS[condition.kind]
    values: list[Any] = list(condition.values)
    if condition.kind == "query":
        pairs = [value.rpartition("=") for value in condition.values]
        values = [{"Key": k, "Value": v} if equals else {"Value": v} for k, equals, v in pairs]
    header = {"HttpHeaderName": condition.header} if condition.header else {}
    return {"Field": field, section: {"Values": values, **header}}


def _action(action: Action) -> dict[str, Any]:
    match action:
        case Forward(groups=groups):
            listed = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
            single = {"TargetGroupArn": groups[0][0]} if len(groups) == 1 else {}
            return {"Type": "forward", "ForwardConfig": {"TargetGroups": listed}, **single}
        case Redirect():
            config = {
                "Protocol": action.protocol,
                "Port": action.port,
                "Host": action.host,
                "Path": action.path,
                "Query": action.query,
                "StatusCode": f"HTTP_{action.status}",
            }
            return {"Type": "redirect", "RedirectConfig": config}
        case FixedResponse():
            fixed = {
                "StatusCode": str(action.status),
                "ContentType": action.content_type,
                "MessageBody": action.body,
            }
            return {"Type": "fixed-response", "FixedResponseConfig": fixed}


def _health(host: str, port: int, zone: str, health: Health, group: TargetGroup) -> dict[str, Any]:
    told: dict[str, Any] = {"State": health.state}
    if health.reason:
        told |= {"Reason": health.reason, "Description": health.description}
    target: dict[str, Any] = {"Id": host, "Port": port}
    if zone:
        target["AvailabilityZone"] = zone
    return {
        "Target": target,
        "HealthCheckPort": str(group.spec.check.port or port),
        "TargetHealth": told,
    }

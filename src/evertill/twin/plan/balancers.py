"""From the model to load balancers and target groups: `Model -> specifications`.

It is separate from the planner of services, which only names target groups. Classic, network and
gateway load balancers are refused by name, as are targets that the twin has no machines for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from evertill.assembly import Model, Reference, Resource, Value
from evertill.assembly.model import as_text, child
from evertill.twin.addresses import local_port
from evertill.twin.errors import TwinError
from evertill.twin.plan import balancer_specs as specs
from evertill.twin.plan.balancer_specs import (
    BalancerSpec,
    Codes,
    HealthCheck,
    ListenerSpec,
    TargetGroupSpec,
)
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.firewalls import limits_of
from evertill.twin.plan.identity import physical_name
from evertill.twin.plan.listeners import TARGET_GROUP, actions_of, rule_of
from evertill.twin.plan.places import Places

BALANCER: Final = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER: Final = "AWS::ElasticLoadBalancingV2::Listener"
LISTENER_RULE: Final = "AWS::ElasticLoadBalancingV2::ListenerRule"
LISTENER_CERTIFICATE: Final = "AWS::ElasticLoadBalancingV2::ListenerCertificate"
CERTIFICATE: Final = "AWS::CertificateManager::Certificate"
# https://docs.aws.amazon.com/general/latest/gr/elb.html
HOSTED_ZONES: Final = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-central-1": "Z215JYRZR1TBD5",
}
UNKNOWN_ZONE: Final = "Z0000000000000"
PROTOCOLS: Final = ("HTTP", "HTTPS")
Word = TypeVar("Word", bound=str)

# Whether members of the one groups may connect to the others' port: None, or the missing rule.
MayConnect = Callable[[Sequence[Value], Sequence[Value], int], str | None]


class BalancerUnsupported(TwinError):
    """The twin has no such load balancer or target group."""

    code = "balancer_unsupported"


class Balancing(msgspec.Struct, frozen=True):
    """All load balancers and target groups of an assembly."""

    balancers: tuple[BalancerSpec, ...]
    groups: tuple[TargetGroupSpec, ...]


def plan_balancers(
    model: Model, bindings: Bindings, places: Places, may_connect: MayConnect
) -> Balancing:
    """Return the load balancers and target groups, and bind what templates ask of them.

    Raises BalancerUnsupported or ListenerUnsupported for what the twin cannot do.
    """
    for resource in model.resources_of(BALANCER):
        bindings.bind(_attribute(resource, "DNSName"), dns_name(resource))
        bindings.bind(_attribute(resource, "CanonicalHostedZoneID"), _hosted_zone(resource))
    return Balancing(
        tuple(
            _balancer(resource, model, bindings, places, may_connect)
            for resource in model.resources_of(BALANCER)
        ),
        tuple(_group(resource, bindings) for resource in model.resources_of(TARGET_GROUP)),
    )


def dns_name(balancer: Resource) -> str:
    """Return the name that AWS would give a load balancer in DNS."""
    digest = hashlib.sha256(f"{balancer.stack}/{balancer.logical_id}".encode()).hexdigest()
    number = int(digest[:8], 16)
    name = physical_name(balancer).lower()
    internal = "internal-" if balancer.text("Scheme") == "internal" else ""
    return f"{internal}{name}-{number}.{balancer.region}.elb.amazonaws.com"


def _balancer(
    resource: Resource,
    model: Model,
    bindings: Bindings,
    places: Places,
    may_connect: MayConnect,
) -> BalancerSpec:
    kind = resource.text("Type", "application")
    if kind != "application":
        raise _refused(resource, f"is a load balancer of type {kind}")
    settings = _attributes(resource, "LoadBalancerAttributes")
    groups = tuple(resource.items("SecurityGroups"))
    listeners = [
        _listener(listener, model, bindings, may_connect((), groups, _port(listener)))
        for listener in model.resources_of(LISTENER)
        if model.find(listener.get("LoadBalancerArn"), BALANCER, region=resource.region) is resource
    ]
    _refuse_meeting_ports(resource, listeners)
    forwarded_for = settings.get("routing.http.xff_header_processing.mode", "append")
    return BalancerSpec(
        region=str(resource.region),
        name=physical_name(resource),
        arn=bindings.text(resource.reference),
        full_name=bindings.text(_attribute(resource, "LoadBalancerFullName")),
        dns_name=dns_name(resource),
        hosted_zone_id=_hosted_zone(resource),
        zones=places.zones(_subnets(resource)),
        listeners=tuple(listeners),
        is_internal=resource.text("Scheme") == "internal",
        security_groups=groups,
        idle_timeout_s=float(settings.get("idle_timeout.timeout_seconds", specs.IDLE_TIMEOUT_S)),
        drops_invalid_headers=_is_on(settings, "routing.http.drop_invalid_header_fields.enabled"),
        speaks_http2=settings.get("routing.http2.enabled", "true") == "true",
        forwarded_for=_one_of(resource, forwarded_for, ("append", "preserve", "remove")),
        limits=limits_of(model, resource),
    )


def _subnets(resource: Resource) -> list[Value]:
    mappings = [child(mapping, "SubnetId") for mapping in resource.items("SubnetMappings")]
    return resource.items("Subnets") or mappings


def _listener(
    resource: Resource, model: Model, bindings: Bindings, refusal: str | None
) -> ListenerSpec:
    protocol = resource.text("Protocol", "HTTP") or "HTTP"
    if protocol not in PROTOCOLS:
        raise _refused(resource, f"listens by {protocol}")
    if (resource.text("MutualAuthentication.Mode", "off") or "?") != "off":
        raise _refused(resource, "asks clients for certificates")
    rules = [
        rule_of(rule, model, bindings)
        for rule in model.resources_of(LISTENER_RULE)
        if model.find(rule.get("ListenerArn"), LISTENER) is resource
    ]
    return ListenerSpec(
        arn=bindings.text(resource.reference),
        port=_port(resource),
        protocol=_one_of(resource, protocol, ("HTTP", "HTTPS")),
        default=actions_of(resource, model, bindings),
        rules=tuple(sorted(rules, key=lambda rule: rule.priority)),
        certificates=tuple(_certificates(resource, model)) if protocol == "HTTPS" else (),
        policy=resource.text("SslPolicy", "") or "",
        refusal=refusal,
    )


def _certificates(listener: Resource, model: Model) -> Iterable[tuple[str, ...]]:
    """Give the names of each certificate of a listener, its default first."""
    listed = listener.items("Certificates")
    for more in model.resources_of(LISTENER_CERTIFICATE):
        if model.find(more.get("ListenerArn"), LISTENER) is listener:
            listed = [*listed, *more.items("Certificates")]
    for item in listed:
        certificate = model.find(child(item, "CertificateArn"), CERTIFICATE)
        if certificate is None:
            # One that was made elsewhere: its names are not known, but there is one.
            yield (f"{listener.logical_id.lower()}.invalid",)
            continue
        names = [certificate.get("DomainName"), *certificate.items("SubjectAlternativeNames")]
        yield tuple(dict.fromkeys(name for name in map(as_text, names) if name))
    if not listed:
        raise _refused(listener, "is to speak TLS and has no certificate")


def _group(resource: Resource, bindings: Bindings) -> TargetGroupSpec:
    kind = resource.text("TargetType", "instance") or ""
    if kind not in {"ip", "lambda"}:
        raise _refused(resource, f"has targets of type {kind}")
    settings = _attributes(resource, "TargetGroupAttributes")
    if _is_on(settings, "stickiness.enabled"):
        raise _refused(resource, "has stickiness")
    if resource.text("ProtocolVersion", "HTTP1") == "GRPC":
        raise _refused(resource, "speaks gRPC")
    function = None
    if kind == "lambda":
        targets = resource.items("Targets")
        function = child(targets[0], "Id") if targets else None
    elif resource.has("Targets"):
        raise _refused(resource, "names targets that the templates do not have")
    algorithm = settings.get("load_balancing.algorithm.type", "round_robin")
    delay = settings.get("deregistration_delay.timeout_seconds", specs.DEREGISTRATION_DELAY_S)
    multi = "lambda.multi_value_headers.enabled"
    return TargetGroupSpec(
        region=str(resource.region),
        name=physical_name(resource),
        arn=bindings.text(resource.reference),
        full_name=bindings.text(_attribute(resource, "TargetGroupFullName")),
        kind=_one_of(resource, kind, ("ip", "lambda")),
        protocol=_one_of(resource, resource.text("Protocol", "HTTP") or "", ("HTTP", "HTTPS")),
        port=int(resource.number("Port", 80) or 80),
        check=_check(resource, is_enabled=kind == "ip"),
        algorithm=_one_of(
            resource,
            algorithm,
            ("round_robin", "least_outstanding_requests", "weighted_random"),
        ),
        deregistration_delay_s=float(delay),
        slow_start_s=float(settings.get("slow_start.duration_seconds", 0)),
        function=function,
        has_multi_value_headers=_is_on(settings, multi),
        healthy_min=_healthy_min(settings),
        # The load balancer's own setting, which a group may leave it to, is always on.
        crosses_zones=settings.get("load_balancing.cross_zone.enabled") != "false",
    )


def _check(group: Resource, *, is_enabled: bool) -> HealthCheck:
    port = group.text("HealthCheckPort", "traffic-port")
    return HealthCheck(
        is_enabled=is_enabled,
        protocol=_one_of(group, group.text("HealthCheckProtocol", "HTTP") or "", ("HTTP", "HTTPS")),
        path=group.text("HealthCheckPath", "/") or "/",
        port=int(port) if port and port.isdigit() else None,
        interval_s=group.number("HealthCheckIntervalSeconds") or specs.CHECK_INTERVAL_S,
        timeout_s=group.number("HealthCheckTimeoutSeconds") or specs.CHECK_TIMEOUT_S,
        healthy_count=int(group.number("HealthyThresholdCount") or specs.HEALTHY_COUNT),
        unhealthy_count=int(group.number("UnhealthyThresholdCount") or specs.UNHEALTHY_COUNT),
        codes=codes_of(group.text("Matcher.HttpCode", "200") or "200"),
    )


def codes_of(matcher: str) -> Codes:
    """Return the codes that a matcher such as `200,204-299` takes."""
    pairs = [piece.strip().partition("-") for piece in matcher.split(",")]
    return tuple((int(first), int(last or first)) for first, _, last in pairs)


def _healthy_min(settings: dict[str, str]) -> int:
    wanted = settings.get("target_group_health.dns_failover.minimum_healthy_targets.count", "1")
    return int(wanted) if wanted.isdigit() else 1


def _refuse_meeting_ports(balancer: Resource, listeners: Sequence[ListenerSpec]) -> None:
    """Refuse listeners whose ports are one here: those below 1024 are moved up."""
    seen: dict[int, int] = {}
    for listener in listeners:
        here = local_port(listener.port)
        if here in seen:
            raise _refused(
                balancer, f"listens on {seen[here]} and {listener.port}, which are one port here"
            )
        seen[here] = listener.port


def _attributes(resource: Resource, path: str) -> dict[str, str]:
    pairs = [
        (as_text(child(item, "Key")), as_text(child(item, "Value")))
        for item in resource.items(path)
    ]
    return {key: value for key, value in pairs if key is not None and value is not None}


def _is_on(settings: dict[str, str], key: str) -> bool:
    return settings.get(key, "false").lower() == "true"


def _one_of(resource: Resource, text: str, allowed: tuple[Word, ...]) -> Word:
    for one in allowed:
        if one == text:
            return one
    raise _refused(resource, f"asks for {text}")


def _port(listener: Resource) -> int:
    port = listener.number("Port")
    if port is None:
        raise _refused(listener, "has a port that is not known")
    return int(port)


def _attribute(resource: Resource, name: str) -> Reference:
    return Reference(resource.stack, resource.logical_id, name)


def _hosted_zone(balancer: Resource) -> str:
    return HOSTED_ZONES.get(str(balancer.region), UNKNOWN_ZONE)


def _refused(resource: Resource, what: str) -> BalancerUnsupported:
    return BalancerUnsupported(f"{resource} ({resource.type}) {what}, which the twin cannot do.")

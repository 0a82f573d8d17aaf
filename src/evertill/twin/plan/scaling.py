"""Scaling targets and policies of services, as they will be followed.

It is separate from the services because it finds them through resource ids, and because what it
cannot follow (steps, schedules) it must refuse by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from evertill.assembly import Model, Resource, Value
from evertill.assembly.model import as_list, as_number, as_text, child
from evertill.twin.errors import TwinError
from evertill.twin.plan.bindings import Bindings
from evertill.twin.plan.identity import value_of
from evertill.twin.plan.services import ServiceSpec

TARGET: Final = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY: Final = "AWS::ApplicationAutoScaling::ScalingPolicy"
DIMENSION: Final = "ecs:service:DesiredCount"
TRACKING: Final = "TargetTrackingScalingPolicyConfiguration"
# https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
COOLDOWN_DEFAULT_S: Final = 300.0
PREDEFINED: Final = {
    "ECSServiceAverageCPUUtilization": ("AWS/ECS", "CPUUtilization", "Average"),
    "ECSServiceAverageMemoryUtilization": ("AWS/ECS", "MemoryUtilization", "Average"),
    "ALBRequestCountPerTarget": ("AWS/ApplicationELB", "RequestCountPerTarget", "Sum"),
}
BY_REQUESTS: Final = "ALBRequestCountPerTarget"


class ScalingUnsupported(TwinError):
    """A scaling policy asks for what the twin cannot follow."""

    code = "scaling_unsupported"


class PolicySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A target tracking policy and the metric that it tracks, by minutes."""

    name: str
    namespace: str
    metric: str
    statistic: str
    dimensions: dict[str, str]
    target: float
    out_cooldown_s: float = COOLDOWN_DEFAULT_S
    in_cooldown_s: float = COOLDOWN_DEFAULT_S
    scales_in: bool = True
    predefined: str | None = None


class ScalingSpec(msgspec.Struct, frozen=True):
    """The bounds of a service's count and what moves it between them."""

    service: ServiceSpec
    count_min: int
    count_max: int
    policies: tuple[PolicySpec, ...]

    @property
    def resource_id(self) -> str:
        """Return what Application Auto Scaling calls the service."""
        return f"service/{self.service.cluster}/{self.service.name}"


def scaling_spec(
    model: Model, target: Resource, services: Sequence[ServiceSpec], bindings: Bindings
) -> ScalingSpec:
    """Return what scales one of `services`; raise ScalingUnsupported for what none can follow."""
    service = _service_of(target, services, bindings)
    if service is None:
        message = f"{target} scales {target.get('ResourceId')}, which is no service here."
        raise ScalingUnsupported(message)
    if target.items("ScheduledActions"):
        message = f"{target} scales by a schedule, which the twin does not follow."
        raise ScalingUnsupported(message)
    return ScalingSpec(
        service,
        int(target.number("MinCapacity", 0) or 0),
        int(target.number("MaxCapacity", 0) or 0),
        tuple(_policies(model, target, service)),
    )


def _service_of(
    target: Resource, services: Sequence[ServiceSpec], bindings: Bindings
) -> ServiceSpec | None:
    if target.text("ScalableDimension") != DIMENSION:
        return None
    named = bindings.text(target.get("ResourceId"))
    return next(
        (
            service
            for service in services
            if service.region == target.region
            and named == f"service/{service.cluster}/{service.name}"
        ),
        None,
    )


def _policies(model: Model, target: Resource, service: ServiceSpec) -> Iterator[PolicySpec]:
    for policy in model.referrers(target, POLICY):
        if not policy.has(TRACKING):
            message = (
                f"{policy} scales by {policy.get('PolicyType')}, which the twin cannot follow."
            )
            raise ScalingUnsupported(message)
        yield _policy(model, policy, service)


def _policy(model: Model, policy: Resource, service: ServiceSpec) -> PolicySpec:
    at = policy.get(TRACKING)
    predefined = as_text(child(child(at, "PredefinedMetricSpecification"), "PredefinedMetricType"))
    if predefined is not None and predefined not in PREDEFINED:
        message = f"{policy} tracks {predefined}, which the twin does not measure."
        raise ScalingUnsupported(message)
    if predefined is not None:
        namespace, metric, statistic = PREDEFINED[predefined]
        dimensions = _dimensions(model, policy, predefined, service)
    else:
        namespace, metric, statistic, dimensions = _customized(policy, at)
    return PolicySpec(
        name=policy.text("PolicyName") or str(policy),
        namespace=namespace,
        metric=metric,
        statistic=statistic,
        dimensions=dimensions,
        target=as_number(child(at, "TargetValue")) or 0.0,
        out_cooldown_s=_cooldown_s(at, "ScaleOutCooldown"),
        in_cooldown_s=_cooldown_s(at, "ScaleInCooldown"),
        scales_in=as_text(child(at, "DisableScaleIn"), "false") != "true",
        predefined=predefined,
    )


def _dimensions(
    model: Model, policy: Resource, predefined: str, service: ServiceSpec
) -> dict[str, str]:
    if predefined != BY_REQUESTS:
        return {"ClusterName": service.cluster, "ServiceName": service.name}
    # The label is pieces of ARNs, split and joined; the target group in it is what counts.
    label = policy.get(f"{TRACKING}.PredefinedMetricSpecification.ResourceLabel")
    for resource in model.referred_by(label):
        if resource.type == "AWS::ElasticLoadBalancingV2::TargetGroup":
            return {"TargetGroup": str(value_of(resource, "TargetGroupFullName"))}
    message = f"{policy} does not name a target group of these templates."
    raise ScalingUnsupported(message)


def _customized(policy: Resource, at: Value) -> tuple[str, str, str, dict[str, str]]:
    custom = child(at, "CustomizedMetricSpecification")
    named = [as_text(child(custom, key)) for key in ("Namespace", "MetricName", "Statistic")]
    if None in named:
        message = f"{policy} tracks metrics in a form that the twin does not compute."
        raise ScalingUnsupported(message)
    dimensions = {
        str(as_text(child(item, "Name"))): str(as_text(child(item, "Value")))
        for item in as_list(child(custom, "Dimensions"))
    }
    namespace, metric, statistic = (str(text) for text in named)
    return namespace, metric, statistic, dimensions


def _cooldown_s(at: Value, name: str) -> float:
    found = as_number(child(at, name), COOLDOWN_DEFAULT_S)
    return COOLDOWN_DEFAULT_S if found is None else found

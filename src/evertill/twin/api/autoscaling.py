"""Application Auto Scaling as boto3 and the `aws` command speak it, over the real scaling.

It is separate from ECS's because it is another service of AWS, which recovery calls to raise a
standby's floor before it moves traffic there.
https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from evertill.assembly.pseudo import partition
from evertill.twin.api.errors import ApiError
from evertill.twin.parts.scaling import Scaling, Suspended
from evertill.twin.plan.scaling import PolicySpec

NAMESPACE: Final = "ecs"
DIMENSION: Final = "ecs:service:DesiredCount"
NOT_FOUND: Final = "ObjectNotFoundException"
INVALID: Final = "ValidationException"

Answer = dict[str, Any]


class ApplicationAutoScaling:
    """The scaling targets of one region."""

    def __init__(self, scalings: Sequence[Scaling]) -> None:
        """Answer for `scalings`."""
        self._scalings: Final = {scaling.spec.resource_id: scaling for scaling in scalings}

    async def describe_scalable_targets(self, **parameters: Any) -> Answer:  # noqa: ANN401 - AWS's
        """Tell the bounds of services."""
        wanted = parameters.get("ResourceIds")
        return {
            "ScalableTargets": [
                _target_words(name, scaling) for name, scaling in self._chosen(wanted)
            ]
        }

    async def register_scalable_target(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Change the bounds of a service that the templates scale, or suspend its scaling."""
        scaling = self._scalings.get(parameters["ResourceId"])
        if scaling is None or parameters["ScalableDimension"] != DIMENSION:
            message = f"The twin scales no {parameters['ResourceId']}."
            raise ApiError(INVALID, message)
        lower = parameters.get("MinCapacity", scaling.bounds[0])
        upper = parameters.get("MaxCapacity", scaling.bounds[1])
        if not 0 <= lower <= upper:
            raise ApiError(INVALID, "Maximum capacity cannot be less than minimum capacity")
        if "SuspendedState" in parameters:
            scaling.suspended = _suspended(parameters["SuspendedState"])
        scaling.set_bounds(lower, upper)
        return {"ScalableTargetARN": _arn(scaling)}

    async def describe_scaling_policies(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell the policies of services."""
        one = parameters.get("ResourceId")
        names = parameters.get("PolicyNames")
        return {
            "ScalingPolicies": [
                _policy_words(name, scaling, policy)
                for name, scaling in self._chosen([one] if one else None)
                for policy in scaling.spec.policies
                if names is None or policy.name in names
            ]
        }

    async def describe_scaling_activities(self, **parameters: Any) -> Answer:  # noqa: ANN401 - the same
        """Tell what was scaled, the newest first."""
        one = parameters.get("ResourceId")
        return {
            "ScalingActivities": [
                {
                    "ActivityId": activity.id,
                    "ServiceNamespace": NAMESPACE,
                    "ResourceId": name,
                    "ScalableDimension": DIMENSION,
                    "Description": f"Setting desired count to {activity.count}.",
                    "Cause": activity.cause,
                    "StartTime": datetime.fromtimestamp(activity.at_s, UTC),
                    "StatusCode": "Successful",
                }
                for name, scaling in self._chosen([one] if one else None)
                for activity in reversed(scaling.activities)
            ]
        }

    def _chosen(self, wanted: Sequence[str] | None) -> list[tuple[str, Scaling]]:
        return [
            (name, scaling)
            for name, scaling in self._scalings.items()
            if not wanted or name in wanted
        ]


def _target_words(name: str, scaling: Scaling) -> Answer:
    suspended = scaling.suspended
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": name,
        "ScalableDimension": DIMENSION,
        "MinCapacity": scaling.bounds[0],
        "MaxCapacity": scaling.bounds[1],
        "RoleARN": _role(scaling),
        "CreationTime": datetime.fromtimestamp(scaling.created_s, UTC),
        "SuspendedState": {
            "DynamicScalingInSuspended": suspended.scaling_in,
            "DynamicScalingOutSuspended": suspended.scaling_out,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": _arn(scaling),
    }


def _policy_words(name: str, scaling: Scaling, policy: PolicySpec) -> Answer:
    tracking: Answer = {
        "TargetValue": policy.target,
        "ScaleOutCooldown": int(policy.out_cooldown_s),
        "ScaleInCooldown": int(policy.in_cooldown_s),
        "DisableScaleIn": not policy.scales_in,
    }
    if policy.predefined is not None:
        tracking["PredefinedMetricSpecification"] = {"PredefinedMetricType": policy.predefined}
    else:
        tracking["CustomizedMetricSpecification"] = {
            "MetricName": policy.metric,
            "Namespace": policy.namespace,
            "Statistic": policy.statistic,
            "Dimensions": [
                {"Name": key, "Value": value} for key, value in policy.dimensions.items()
            ],
        }
    return {
        "PolicyARN": f"{_arn(scaling)}:policyName/{policy.name}",
        "PolicyName": policy.name,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": name,
        "ScalableDimension": DIMENSION,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
        "CreationTime": datetime.fromtimestamp(scaling.created_s, UTC),
    }


def _suspended(state: Mapping[str, bool]) -> Suspended:
    return Suspended(
        scaling_in=state.get("DynamicScalingInSuspended", False),
        scaling_out=state.get("DynamicScalingOutSuspended", False),
    )


def _arn(scaling: Scaling) -> str:
    service = scaling.spec.service
    place = f"{partition(service.region)}:application-autoscaling:{service.region}"
    return f"arn:{place}:{service.account}:scalable-target/{scaling.spec.resource_id}"


def _role(scaling: Scaling) -> str:
    service = scaling.spec.service
    return (
        f"arn:{partition(service.region)}:iam::{service.account}:role/aws-service-role/"
        "ecs.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_ECSService"
    )

"""A service that is scaled automatically pins no count of its own."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.containers import SERVICE, scaling_of

GROUP = "AWS::AutoScaling::AutoScalingGroup"
POLICY = "AWS::AutoScaling::ScalingPolicy"


def check(model: Model) -> Iterator[Report]:
    """Look for counts beside autoscaling (aws/aws-cdk#3919 tells what they do)."""
    for service in model.resources_of(SERVICE):
        if service.has("DesiredCount") and scaling_of(model, service) is not None:
            yield Report(
                service,
                "Every deployment sets the count back to the template's, in the middle of the "
                "peak that autoscaling grew it for.",
                "Leave out DesiredCount: the autoscaling minimum takes its place.",
            )
    for group in model.resources_of(GROUP):
        if group.has("DesiredCapacity") and model.referrers(group, POLICY):
            yield Report(
                group,
                "Every deployment sets the capacity back to the template's, whatever autoscaling "
                "had grown it to.",
                "Leave out DesiredCapacity.",
            )

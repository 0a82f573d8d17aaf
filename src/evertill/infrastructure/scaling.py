"""How many tasks there are: bounds, and what makes the number follow the load.

It is separate from `compute` because recovery changes it too. When recovery raises the standby's
floor (before it moves traffic), it calls RegisterScalableTarget with a higher MinCapacity. No later
deployment takes that back: CloudFormation sends a resource's properties only when they differ from
the last template, and these do not change with a release. That a changed setting does not do it
either is the business of deploy/stack-policy.json, which the runbook attaches to every service
stack once: it forbids CloudFormation to update a scalable target at all.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2

from evertill.infrastructure.settings import Settings

CPU_TARGET_PERCENT: Final = 70
# 2,000 requests a second cost about a third of a vCPU at the 128 us each that docs/reference/
# performance.md measured. So single payments scale by this policy, before the processor's average
# has seen a rise, and batches, each worth hundreds of payments, by the processor.
REQUESTS_PER_TASK_PER_MIN: Final = 120_000
# Tasks come quickly and go slowly: a task that ends costs its connections' warmth, one too many
# costs cents. Target tracking itself scales in only well below its target, for 15 minutes:
# https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
OUT_COOLDOWN_S: Final = 60
IN_COOLDOWN_S: Final = 300


def scale(
    settings: Settings,
    region: str,
    service: ecs.FargateService,
    targets: elbv2.ApplicationTargetGroup,
) -> ecs.ScalableTaskCount:
    """Let the service's tasks follow its load, from the floor of `region` upwards."""
    count = service.auto_scale_task_count(
        min_capacity=floor(settings, region), max_capacity=settings.service.tasks_max
    )
    count.scale_on_cpu_utilization(
        "Cpu",
        target_utilization_percent=CPU_TARGET_PERCENT,
        scale_out_cooldown=Duration.seconds(OUT_COOLDOWN_S),
        scale_in_cooldown=Duration.seconds(IN_COOLDOWN_S),
    )
    count.scale_on_request_count(
        "Requests",
        requests_per_target=REQUESTS_PER_TASK_PER_MIN,
        target_group=targets,
        scale_out_cooldown=Duration.seconds(OUT_COOLDOWN_S),
        scale_in_cooldown=Duration.seconds(IN_COOLDOWN_S),
    )
    return count


def floor(settings: Settings, region: str) -> int:
    """Return the fewest tasks of a region.

    The standby's floor is what keeps it warm, one task in each zone in production: image pulls,
    roles, secrets, database logins and endpoints are in use all the time and cannot have rotted.
    It takes no payments, so it need not be larger; recovery raises it to the active region's floor
    and waits for the tasks (a minute or two) before the database moves.
    """
    service = settings.service
    return service.tasks_min if settings.is_active(region) else service.standby_tasks_min


def remaining(tasks: int, zones: int = 3) -> int:
    """Return how many of `tasks`, spread evenly, are left when the fullest zone is lost."""
    return max(1, tasks - -(-tasks // zones))

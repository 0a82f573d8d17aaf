"""Raise the target's floor, before anything moves there.

A switchover waits for the tasks, because payments are taken meanwhile. A failover asks for them and
goes on: nobody takes payments, and few tasks are better than none.
"""

from __future__ import annotations

from typing import Final

from evertill.recovery.observing import read_capacity
from evertill.recovery.steps.running import Run

# A task takes a minute or two on Fargate; a full start of fifty comes in waves.
TASKS_TIMEOUT_S: Final = 900.0


def raise_capacity(run: Run) -> str:
    """Raise the floor to what the plan says; return what was done."""
    region, deployment = run.around.region(run.plan.target), run.around.deployment
    seen = read_capacity(region, deployment)
    floor = max(run.plan.floor, seen.count_min)
    run.journal.note(floor=floor, floor_before=run.facts.get("floor_before", seen.count_min))
    if seen.count_min < floor or seen.count_max < floor:
        region.call(
            "application-autoscaling",
            "register_scalable_target",
            ServiceNamespace="ecs",
            ResourceId=deployment.scaled,
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=floor,
            MaxCapacity=max(floor, seen.count_max),
        )
    if not run.is_switchover:
        return f"asked for {floor} tasks, {seen.running} run"
    return _wait(run, floor)


def _wait(run: Run, floor: int) -> str:
    region, deployment = run.around.region(run.plan.target), run.around.deployment
    last = read_capacity(region, deployment)

    def is_there() -> bool:
        nonlocal last
        last = read_capacity(region, deployment)
        return last.running >= floor and last.healthy != 0

    run.pace.until(
        is_there,
        f"{floor} tasks in {run.plan.target}",
        TASKS_TIMEOUT_S,
        lambda: f"{last.running} run, {last.healthy} are healthy",
    )
    return f"{last.running} tasks run, the floor is {floor}"

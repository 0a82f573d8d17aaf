"""Look after what the change left: the RPO guard, capacity, alarms, and what to keep in mind.

The guard belongs to whoever writes now, and only while it has a standby: with none it would hold
every commit back. Nothing here undoes a change that succeeded, so what is amiss is told and not
raised.
"""

from __future__ import annotations

from typing import Final

from evertill.domain.errors import EvertillError
from evertill.recovery import rds
from evertill.recovery.evaluate import ALARM, STATES
from evertill.recovery.observing import read_alarms, read_capacity
from evertill.recovery.steps.running import Run

TASKS_TIMEOUT_S: Final = 300.0


def look_after(run: Run) -> str:
    """Do and check what remains; return it in a sentence."""
    notes = [_guard(run), _capacity(run), *_old_region(run), *_secret(run)]
    notes += _alarms(run)
    found = [note for note in notes if note]
    run.journal.note(notes=found)
    for note in found:
        run.say(f"   {note}")
    return f"{len(found)} things looked after"


def _guard(run: Run) -> str:
    plan = run.plan
    if not run.is_switchover:
        return (
            f"The RPO guard of {plan.target} stays off: it has no standby, and would hold every "
            "commit back. Failback sets it."
        )
    for name, limit_s in ((plan.source, None), (plan.target, plan.guard_s)):
        region = run.around.region(name)
        try:
            database = rds.read_database(region, run.around.deployment.database)
            if database.guard is not None and database.guard.limit_s != limit_s:
                rds.set_guard(region, database.guard.group, limit_s)
        except EvertillError as failure:
            return f"The RPO guard was not moved: {failure}"
    if plan.guard_s is None:
        return "No RPO guard was set before, and none is now."
    return f"The RPO guard of {plan.guard_s} s moved to {plan.target}."


def _capacity(run: Run) -> str:
    region, floor = run.around.region(run.plan.target), int(run.facts.get("floor", 0))
    try:
        run.pace.until(
            lambda: read_capacity(region, run.around.deployment).running >= floor,
            f"{floor} tasks",
            TASKS_TIMEOUT_S,
        )
    except EvertillError as failure:
        return f"Capacity: {failure}"
    return (
        f"{floor} tasks run in {run.plan.target}. Its floor stays raised: deployments do not lower "
        "it (docs/runbooks/recovery.md)."
    )


def _old_region(run: Run) -> list[str]:
    seen = run.around.door(run.plan.source).ready()
    if seen.is_ready:
        return [f"{run.plan.source} STILL SAYS THAT IT IS READY. Stop its service."]
    if run.is_switchover:
        return [f"{run.plan.source} refuses payments: {seen.text}"]
    text = (
        f"{run.plan.source} is to be reconciled when it is back: its volume is kept as a snapshot "
        f"that expires ({rds.UNPLANNED}*). `evertill recovery reconcile` copies it."
    )
    return [text]


def _secret(run: Run) -> list[str]:
    """Tell of a secret that is a replica: it is read-only until it is promoted."""
    named = run.around.deployment.admin_secret
    try:
        secret = run.around.region(run.plan.target).call(
            "secretsmanager", "describe_secret", SecretId=named
        )
    except EvertillError as failure:
        return [f"The administrator's secret: {failure}"]
    if secret.get("PrimaryRegion") in {None, run.plan.target}:
        return []
    text = (
        f"{named} is a replica here and read-only. While {secret['PrimaryRegion']} is lost, "
        "promote it by StopReplicationToReplica before you change it."
    )
    return [text]


def _alarms(run: Run) -> list[str]:
    try:
        alarms = read_alarms(run.around.region(run.plan.target), run.around.deployment)
    except EvertillError as failure:
        return [f"Alarms: {failure}"]
    ringing = [
        alarm.name for alarm in alarms if alarm.state == ALARM and not alarm.name.startswith(STATES)
    ]
    return [f"Alarms that ring in {run.plan.target}: {', '.join(ringing)}."] if ringing else []

"""Let the target's cluster write: asked of RDS, and waited for by its own words.

A switchover is asked of the primary's region, a failover of the target's, which alone is called. A
guard on the target's parameter group goes first: promoted without a secondary, it would hold every
commit back (decision 0012).
"""

from __future__ import annotations

from typing import Final

from evertill.recovery import rds
from evertill.recovery.errors import CallRefused, RegionSilent, StepFailed
from evertill.recovery.rds import KNOWN_STATES
from evertill.recovery.snapshot import GlobalSeen
from evertill.recovery.steps.fence import give_back
from evertill.recovery.steps.running import Run

CHANGE_TIMEOUT_S: Final = 1_800.0
# Without a change under way for so long after it was asked for, it was given up.
GIVEN_UP_AFTER_S: Final = 15.0
INVALID_STATE: Final = "InvalidGlobalClusterStateFault"


def change_writer(run: Run) -> str:
    """Make the target's cluster the writer; return what was done."""
    seen = _read(run)
    if seen.writer == run.plan.target and seen.change is None:
        return f"{run.plan.target} is the writer"
    _lift_guard(run)
    if seen.change is None:
        _ask(run, seen)
    try:
        return _wait(run)
    except StepFailed as failure:
        if not run.is_switchover or _read(run).writer != run.plan.source:
            raise
        told = give_back(run)
        # The fence is undone, so this run must not go on behind it.
        run.journal.write("superseded", text=f"given up: {told}")
        raise StepFailed(f"{failure} {told}: payments go on there.") from None


def _read(run: Run) -> GlobalSeen:
    region = run.around.region(run.plan.target)
    return rds.read_global(region, run.around.deployment.global_database)


def _lift_guard(run: Run) -> None:
    region, named = run.around.region(run.plan.target), run.around.deployment.database
    database = rds.read_database(region, named)
    if database.guard is not None and database.guard.limit_s is not None:
        run.journal.note(target_guard_s=database.guard.limit_s)
        rds.set_guard(region, database.guard.group, None)


def _ask(run: Run, seen: GlobalSeen) -> None:
    member = seen.member(run.plan.target)
    if member is None:
        raise StepFailed(f"{run.plan.target} is no member of the global database.")
    place = run.plan.source if run.is_switchover else run.plan.target
    named = {
        "GlobalClusterIdentifier": run.around.deployment.global_database,
        "TargetDbClusterIdentifier": member.arn,
    }
    try:
        if run.is_switchover:
            run.around.region(place).call("rds", "switchover_global_cluster", **named)
        else:
            run.around.region(place).call(
                "rds", "failover_global_cluster", AllowDataLoss=True, **named
            )
    except CallRefused as refused:
        # A call whose answer was lost and that was sent again meets its own effect.
        if refused.fields.get("aws_code") != INVALID_STATE or _read(run).change is None:
            raise
    run.journal.note(asked_rds=True)


def _wait(run: Run) -> str:
    told = ""
    last_change_s = run.pace.now_s()

    def is_done() -> bool:
        nonlocal told, last_change_s
        try:
            seen = _read(run)
        except RegionSilent as failure:
            run.say(f"   {failure}")
            return False
        words = _words(seen)
        if words != told:
            run.say(f"   RDS: {words}")
            told = words
        if seen.change is not None:
            last_change_s = run.pace.now_s()
        if seen.writer == run.plan.target:
            return seen.change is None
        if seen.change is None and run.pace.now_s() - last_change_s > GIVEN_UP_AFTER_S:
            raise StepFailed("RDS gave the change of the writer up.")
        return False

    took_s = run.pace.until(
        is_done, f"{run.plan.target} as the writer", CHANGE_TIMEOUT_S, lambda: f"RDS says {told}"
    )
    return f"{run.plan.target} is the writer after {took_s:.1f} s"


def _words(seen: GlobalSeen) -> str:
    state = seen.change.status if seen.change else seen.status
    strange = "" if state in KNOWN_STATES else " (a state that this tool does not know)"
    return f"{state}{strange}, writer {seen.writer or 'unknown'}"

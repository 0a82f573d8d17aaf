"""Carries a plan out, step by step, from wherever its journal stands.

Its promise: a step begins only when the one before is done and written down; a kill between or
within steps changes nothing about what the next run does. It is separate from the steps because it
is the only place that knows their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from evertill.domain.errors import EvertillError
from evertill.recovery.evaluate import Left
from evertill.recovery.journal import Journal, keep_left
from evertill.recovery.pace import between_s, moment
from evertill.recovery.plan import STEPS
from evertill.recovery.steps.after import look_after
from evertill.recovery.steps.capacity import raise_capacity
from evertill.recovery.steps.database import change_writer
from evertill.recovery.steps.fence import fence
from evertill.recovery.steps.payment import take_payment
from evertill.recovery.steps.running import Run
from evertill.recovery.steps.traffic import follow_traffic
from evertill.recovery.steps.writable import verify_writable

CARRY_OUT: Final[dict[str, Callable[[Run], str]]] = {
    "capacity": raise_capacity,
    "fence": fence,
    "database": change_writer,
    "writable": verify_writable,
    "traffic": follow_traffic,
    "payment": take_payment,
    "after": look_after,
}


def execute(run: Run) -> None:
    """Carry out what is left of the run; raise what a step raises, noted in the journal."""
    journal = run.journal
    titles = {step.name: step.title for step in run.plan.steps}
    for name in STEPS:
        if name in journal.done:
            run.say(f" = {titles[name]}: done before")
            continue
        if not journal.has_begun(name):
            journal.write("begun", name)
        run.say(f" > {titles[name]}")
        try:
            text = CARRY_OUT[name](run)
        except EvertillError as failure:
            journal.write("failed", name, str(failure))
            raise
        journal.write("done", name, text)
        run.say(f"   {text}")
    _end(run)


def _end(run: Run) -> None:
    journal, plan = run.journal, run.plan
    journal.note(steps_s=steps_s(journal, run.pace.speed))
    left = Left(
        at=moment(),
        kind=plan.kind,
        writer=plan.target,
        floor=int(run.facts.get("floor", plan.floor)),
        guard_s=plan.guard_s if run.is_switchover else None,
    )
    keep_left(journal.folder.parent, left)
    journal.write("ended", text=f"{plan.target} writes")


def steps_s(journal: Journal, speed: float) -> dict[str, float]:
    """Return how long each step took, from its first beginning to its end, kills and pauses too."""
    begun: dict[str, str] = {}
    took: dict[str, float] = {}
    for line in journal.lines:
        if line.event == "begun":
            begun.setdefault(line.step, line.at)
        elif line.event == "done" and line.step in begun:
            took[line.step] = round(between_s(begun[line.step], line.at) * speed, 3)
    return took

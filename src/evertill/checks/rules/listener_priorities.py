"""The rules of a listener have priorities of their own."""

from __future__ import annotations

from collections.abc import Iterator

from evertill.assembly import Model
from evertill.checks.findings import Report
from evertill.checks.views.balancers import LISTENER, LISTENER_RULE


def check(model: Model) -> Iterator[Report]:
    """Look for two rules of one listener that want the same place."""
    for listener in model.resources_of(LISTENER):
        taken: dict[float, str] = {}
        for rule in model.referrers(listener, LISTENER_RULE):
            priority = rule.number("Priority")
            if priority is None or not rule.is_certain:
                continue
            if priority in taken:
                yield Report(
                    rule,
                    f"{taken[priority]} has the priority {priority:g} too: the second of them "
                    "cannot be created.",
                    "Give each rule of a listener a priority of its own.",
                )
            taken.setdefault(priority, rule.logical_id)

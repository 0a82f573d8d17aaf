"""Runs rules over a model and brings what they report into one order.

It is separate from the registry so that a test can run one rule as the command runs all.
"""

from __future__ import annotations

from collections.abc import Mapping

from evertill.assembly import Model
from evertill.checks.findings import Finding, Rule
from evertill.checks.registry import RULES


def check(model: Model, rules: Mapping[str, Rule] = RULES) -> list[Finding]:
    """Return what `rules` find in `model`, each finding once, by stack and resource.

    Resources behind a condition that is not known are passed over: they may not be there at all.
    """
    found = {
        Finding(
            report.resource.stack,
            report.resource.logical_id,
            name,
            report.consequence,
            report.fix,
        )
        for name, rule in rules.items()
        for report in rule(model)
        if report.resource.is_certain
    }
    return sorted(found)

"""Prints the outcome of an audit: a table of counts, the details on request, or JSON.

It is separate so that what is counted does not know how it is shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from evertill.audit.findings import TOOLS, Finding, Outcome

WIDTH: Final = 80


def table(outcome: Outcome, environments: Sequence[str]) -> Iterator[str]:
    """Return the lines of the table: a row per tool, two columns per environment."""
    yield f"{'':15}" + "".join(f"{name:^24}" for name in environments).rstrip()
    yield f"{'tool':15}" + "".join(f"{'findings':>10}{'acknowledged':>14}" for _ in environments)
    for tool in TOOLS:
        cells = [
            f"{_count(outcome.open, tool, name):>10}{_count(outcome.accepted, tool, name):>14}"
            for name in environments
        ]
        yield f"{tool:15}" + "".join(cells)
    if outcome.unneeded:
        yield f"Acknowledged but found by nobody any more: {len(outcome.unneeded)}."


def details(outcome: Outcome) -> Iterator[str]:
    """Return the lines that name every open finding and every acceptance that is not needed."""
    for finding in outcome.open:
        yield f"{finding.environment}  {finding.tool}  {finding.rule}  {finding.place}"
        yield from textwrap.wrap(
            finding.message, WIDTH, initial_indent="    ", subsequent_indent="    "
        )
    for one in outcome.unneeded:
        yield f"not needed  {one.tool}  {one.rule}  {one.stack}/{one.path}"


def as_json(outcome: Outcome, environments: Sequence[str]) -> dict[str, Any]:
    """Return the outcome for programs: the counts, the findings and the unneeded acceptances."""
    counts = [
        {
            "environment": name,
            "tool": tool,
            "findings": _count(outcome.open, tool, name),
            "acknowledged": _count(outcome.accepted, tool, name),
        }
        for name in environments
        for tool in TOOLS
    ]
    return {
        "counts": counts,
        "findings": msgspec.to_builtins(outcome.open),
        "unneeded": msgspec.to_builtins(outcome.unneeded),
    }


def _count(findings: Sequence[Finding], tool: str, environment: str) -> int:
    return sum((one.tool, one.environment) == (tool, environment) for one in findings)

"""What a drill found, as one document: figures under fixed names, bounds, violations, steps.

It is separate from the run so that the names of the figures, which scripts and drill files rely on,
are in one place.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from evertill.drill.acting import LOST, Done
from evertill.drill.bounds import Broken
from evertill.drill.checker import Lost, Verdict
from evertill.drill.figures import Outage, Seen

PUBLIC: Final = "public"
DIGITS: Final = 3
# The parts of a recovery time, in their order.
PARTS: Final = (
    "detect_s",
    "decide_s",
    "fence_s",
    "promote_s",
    "route_s",
    "first_success_s",
    "normal_s",
)

BYTES_PER_GIB: Final = 1024**3

Figures = dict[str, Any]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A drill's outcome; it is passed when nothing was violated, no bound broken, all was done."""

    drill: str
    title: str
    began_at: str
    machine: str
    speed: float
    seed: int
    is_passed: bool
    failure: str
    figures: Figures
    bounds: dict[str, float]
    broken: list[Broken]
    violations: list[str]
    lost: list[Lost]
    steps: list[Done]
    aws_adds: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the document for programs."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def machine() -> str:
    """Return what the figures were measured on: nobody else's are the same."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{os.cpu_count()} cores, {memory_bytes / BYTES_PER_GIB:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def figures_of(
    seen: Seen,
    verdict: Verdict,
    done: Sequence[Done],
    marked_s: float | None,
    alarms: Mapping[str, float],
) -> Figures:
    """Name every figure; times are seconds from the marked step."""
    near = _nearest(seen.outages)
    gone = _gone(verdict, done)
    public = seen.outages.get(PUBLIC)
    figures: Figures = {
        "rto_s": near.first_success_s,
        "rto_99_s": near.normal_s,
        "gap_s": near.gap_s,
        "rto_parts": _parts(near, done, marked_s),
        "rpo_s": _rpo_s(gone, marked_s),
        "lost": len(gone),
        "lost_in_the_end": len(verdict.lost),
        "lost_unlisted": len(_unlisted(gone, done)),
        "lost_amounts": _amounts(gone),
        "duplicates": verdict.duplicates,
        "unbalanced": verdict.unbalanced,
        "dual_writer_ms": verdict.dual_writer_ms,
        "phantoms": len(verdict.phantoms),
        "availability": seen.availability,
        "longest_gap_s": seen.longest_gap_s,
        "requests": seen.requests,
        "tries": seen.tries,
        "failed_requests": seen.failed_requests,
        "unknown_requests": seen.unknown_requests,
        "held_back": seen.held_back,
        "retries_most": seen.retries_most,
        "latencies": msgspec.to_builtins(seen.latencies),
        "alarms": dict(alarms),
        "alarm_first_s": min(alarms.values(), default=None),
    }
    if public is not None:
        figures |= {
            "rto_public_s": public.first_success_s,
            "rto_99_public_s": public.normal_s,
            "gap_public_s": public.gap_s,
        }
    return {name: _rounded(value) for name, value in figures.items()}


def _nearest(outages: Mapping[str, Outage]) -> Outage:
    """Return what clients saw who are hindered by no cache of names; else what all saw."""
    own = [outage for name, outage in outages.items() if name != PUBLIC]
    return (own or [*outages.values(), Outage()])[0]


def _parts(outage: Outage, done: Sequence[Done], marked_s: float | None) -> dict[str, float]:
    """Split a recovery: what the drill's steps took, what recovery reports, what clients saw."""
    parts: dict[str, float] = {}
    if marked_s is None:
        return parts
    for step in done:
        if step.label.startswith("until unready"):
            parts["detect_s"] = step.ended_s - marked_s
        elif step.label.startswith("recovery plan"):
            parts["decide_s"] = step.ended_s - step.began_s
        parts |= {
            name: float(value)
            for name, value in _reported(step.told).items()
            if name in PARTS and isinstance(value, int | float)
        }
    parts["first_success_s"], parts["normal_s"] = outage.first_success_s, outage.normal_s
    return {name: parts[name] for name in PARTS if name in parts}


def _reported(told: Mapping[str, Any]) -> Mapping[str, Any]:
    found = told.get("rto")
    return found if isinstance(found, dict) else {}


def _gone(verdict: Verdict, done: Sequence[Done]) -> list[Lost]:
    """Return everything that was lost at any time that was looked at, brought back or not."""
    counted = [each for step in done for each in step.told.get(LOST, ()) if isinstance(each, Lost)]
    return list({each.number: each for each in [*counted, *verdict.lost]}.values())


def _rpo_s(lost: Sequence[Lost], marked_s: float | None) -> float:
    """Return how far before the fault the first payment was acknowledged that is gone."""
    if not lost or marked_s is None:
        return 0.0
    return max(0.0, marked_s - min(each.acknowledged_s for each in lost))


def _unlisted(lost: Sequence[Lost], done: Sequence[Done]) -> list[Lost]:
    """Return what is lost and stands in no document of recovery."""
    documents = [json.dumps(step.told) for step in done if step.told and LOST not in step.told]
    return [each for each in lost if not any(each.payment in text for text in documents)]


def _amounts(lost: Sequence[Lost]) -> dict[str, int]:
    amounts: Counter[str] = Counter()
    for each in lost:
        amounts[each.currency] += each.amount_minor
    return dict(amounts)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        # What never ended has no number, in JSON least of all; a bound on it is broken.
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return value

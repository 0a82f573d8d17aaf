"""The report of a run: how long each part took, what may be lost, and what was reported meanwhile.

It is written from the journal alone, after every run and every failed attempt, as Markdown for
people, as JSON for programs and as a timeline to look at. The journal's moments are the machine's;
where a simulation's time runs faster they are counted in its seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from evertill.recovery.execute import steps_s
from evertill.recovery.journal import Journal
from evertill.recovery.pace import between_s
from evertill.recovery.plan import Loss
from evertill.recovery.regions import Report, Reports
from evertill.recovery.snapshot import Frozen
from evertill.recovery.timeline import Bar, draw

MARKDOWN: Final = "report.md"
JSON: Final = "report.json"
TIMELINE: Final = "timeline.svg"
PARTS: Final = ("detect", "decide", "fence", "promote", "route", "first success", "back to 99 %")


class Part(Frozen, frozen=True):
    """A part of the recovery time, from and to moments; None where nobody noted one."""

    name: str
    begun_at: str | None
    ended_at: str | None
    seconds: float | None


class RunReport(Frozen, frozen=True):
    """Everything that the report tells."""

    run_id: str
    kind: str
    source: str
    target: str
    state: str
    parts: tuple[Part, ...]
    rto_s: float | None
    loss: Loss
    steps_s: dict[str, float]
    notes: tuple[str, ...]
    reports: tuple[Report, ...]


class Written(NamedTuple):
    """Where the report is, and its most important sentence."""

    path: Path
    summary: str
    document: str


def write(journal: Journal, reports: Reports, speed: float) -> Written:
    """Write the report beside the journal."""
    told = make(journal, reports, speed)
    folder = journal.folder
    document = msgspec.json.format(msgspec.json.encode(told)).decode()
    (folder / JSON).write_text(document, encoding="utf-8")
    (folder / MARKDOWN).write_text(_markdown(told), encoding="utf-8")
    (folder / TIMELINE).write_text(_timeline(told, journal, speed), encoding="utf-8")
    return Written(folder / MARKDOWN, _summary(told), document)


def make(journal: Journal, reports: Reports, speed: float) -> RunReport:
    """Return the report of a run as far as it is."""
    plan, facts = journal.plan, journal.facts
    parts = _parts(journal, speed)
    outage_at = _outage_at(journal)
    first_at = facts.get("first_success_at") or facts.get("ready_at")
    ended = next((line.event for line in journal.lines if line.event == "ended"), "not finished")
    return RunReport(
        run_id=journal.run_id,
        kind=plan.kind,
        source=plan.source,
        target=plan.target,
        state=ended,
        parts=parts,
        rto_s=_seconds(outage_at, first_at, speed),
        loss=plan.loss,
        steps_s=steps_s(journal, speed),
        notes=tuple(facts.get("notes", ())),
        reports=tuple(reports.made),
    )


def _outage_at(journal: Journal) -> str | None:
    """Return since when no payment was taken, as far as recovery can tell.

    In a failover that is the last commit that reached the target, in a switchover the fence.
    """
    if journal.plan.loss.since is not None:
        return journal.plan.loss.since
    return _begun(journal, "fence")


def _parts(journal: Journal, speed: float) -> tuple[Part, ...]:
    facts = journal.facts
    outage_at = _outage_at(journal) if journal.plan.kind == "failover" else None
    started = journal.lines[0].at
    moments: dict[str, tuple[str | None, str | None]] = {
        # The run begins when somebody has confirmed it: what is before is theirs.
        "detect": (outage_at, journal.plan.detected_at),
        "decide": (journal.plan.detected_at or outage_at, started),
        "fence": (_begun(journal, "fence"), _done(journal, "fence")),
        "promote": (_begun(journal, "database"), _done(journal, "database")),
        "route": (_begun(journal, "writable"), facts.get("ready_at")),
        "first success": (facts.get("ready_at"), facts.get("first_success_at")),
        "back to 99 %": (facts.get("first_success_at"), facts.get("steady_at")),
    }
    return tuple(
        Part(name=name, begun_at=one, ended_at=other, seconds=_seconds(one, other, speed))
        for name, (one, other) in moments.items()
    )


def _begun(journal: Journal, step: str) -> str | None:
    return next((x.at for x in journal.lines if x.event == "begun" and x.step == step), None)


def _done(journal: Journal, step: str) -> str | None:
    return next((x.at for x in journal.lines if x.event == "done" and x.step == step), None)


def _seconds(one: str | None, other: str | None, speed: float) -> float | None:
    if one is None or other is None:
        return None
    return round(max(0.0, between_s(one, other)) * speed, 3)


def _summary(told: RunReport) -> str:
    if told.state != "ended":
        return f"The {told.kind} to {told.target} is not finished."
    rto = "a time that nobody knows" if told.rto_s is None else f"{told.rto_s:.1f} s"
    return f"{told.target} writes. Payments were not taken for {rto}."


def _markdown(told: RunReport) -> str:
    lines = [
        f"# {told.kind.capitalize()} from {told.source} to {told.target}",
        "",
        f"{_summary(told)} Run {told.run_id}, {told.state}.",
        "",
        "| Part of the recovery time | from | to | s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part.name} | {part.begun_at or '-'} | {part.ended_at or '-'} | {_cell(part.seconds)} |"
        for part in told.parts
    ]
    lines += [f"| **from the outage to the first success** | | | **{_cell(told.rto_s)}** |", ""]
    lines += ["![Timeline](timeline.svg)", "", "## Recovery point", "", *_loss(told.loss), ""]
    lines += ["## Steps", "", "| Step | s |", "|---|---|"]
    lines += [f"| {name} | {seconds:.1f} |" for name, seconds in told.steps_s.items()]
    if told.notes:
        lines += ["", "## What to know", "", *(f"- {note}" for note in told.notes)]
    lines += ["", "## Calls that were slow or sent again", ""]
    lines += [f"- {x.at} {x.region} {x.call}: {x.text}" for x in told.reports] or ["None."]
    return "\n".join(lines) + "\n"


def _loss(loss: Loss) -> list[str]:
    payments = "not known" if loss.payments is None else str(loss.payments)
    seconds = "not known" if loss.seconds is None else f"{loss.seconds:.1f} s"
    amounts = ", ".join(f"{total} {name}" for name, total in loss.amounts_minor.items()) or "none"
    return [
        f"- at most in seconds: {seconds}",
        f"- at most in payments: {payments}",
        f"- their amounts in minor units, at most: {amounts}",
        f"- {loss.text}",
    ]


def _cell(seconds: float | None) -> str:
    return "not known" if seconds is None else f"{seconds:.1f}"


def _timeline(told: RunReport, journal: Journal, speed: float) -> str:
    begin = _outage_at(journal) or journal.lines[0].at
    bars = [
        Bar(part.name, _offset(begin, part.begun_at, speed), part.seconds)
        for part in told.parts
        if part.begun_at is not None and part.seconds is not None
    ]
    return draw(f"{told.kind.capitalize()} to {told.target}", bars)


def _offset(begin: str, at: str, speed: float) -> float:
    return max(0.0, between_s(begin, at)) * speed

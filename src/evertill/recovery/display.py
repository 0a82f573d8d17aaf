"""Status and plans as one screen of a terminal.

It is separate because nothing but people reads it; programs have `--json`.
"""

from __future__ import annotations

from typing import Final

from evertill.recovery.evaluate import Evaluation
from evertill.recovery.plan import FAILOVER, Plan
from evertill.recovery.snapshot import RegionSeen, Snapshot

WIDTH: Final = 80
COLUMN: Final = 32
LABEL: Final = 13
MARKS: Final = {"harm": "!!", "warning": " !", "note": "  "}
FINDINGS_MAX: Final = 12


def status(snapshot: Snapshot, evaluation: Evaluation) -> str:
    """Return the screen of `status`."""
    regions = snapshot.regions
    lines = [_row("", [region.name for region in regions])]
    rows = (
        ("role", [evaluation.roles[region.name] for region in regions]),
        ("database", [_database(region) for region in regions]),
        ("reaches to", [_position(region) for region in regions]),
        ("RPO guard", [_guard(region) for region in regions]),
        ("tasks", [_tasks(region) for region in regions]),
        ("/ready", [region.ready_text[:COLUMN] for region in regions]),
        ("alarms", [_alarms(region) for region in regions]),
        ("DNS check", [_check(snapshot, region.name) for region in regions]),
    )
    lines += [_row(label, cells) for label, cells in rows]
    lines += ["", f"{'needed':{LABEL}}{evaluation.need} tasks where payments are taken"]
    lines += [f"{'lease':{LABEL}}{_lease(snapshot)}", f"{'DNS':{LABEL}}{_dns(snapshot)}", ""]
    return "\n".join(line.rstrip() for line in [*lines, *_findings(evaluation)])


def _row(label: str, cells: list[str]) -> str:
    return f"{label:{LABEL}}" + " ".join(f"{cell[:COLUMN]:{COLUMN}}" for cell in cells)


def _database(region: RegionSeen) -> str:
    if region.database is None:
        return "not known"
    up = sum(item.status == "available" for item in region.database.instances)
    return f"{region.database.status}, {up} of {len(region.database.instances)} instances"


def _position(region: RegionSeen) -> str:
    position = region.position
    if position is None:
        return "not known"
    lag = "" if region.lag_ms is None else f", lag {region.lag_ms:.0f} ms"
    if position.is_writable:
        return f"now, epoch {position.epoch}"
    age = "no commit" if position.behind_s is None else f"{position.behind_s:.1f} s ago"
    return f"{age}, epoch {position.epoch}{lag}"


def _guard(region: RegionSeen) -> str:
    guard = region.database.guard if region.database else None
    if guard is None:
        return "not known"
    return "off" if guard.limit_s is None else f"{guard.limit_s} s"


def _tasks(region: RegionSeen) -> str:
    seen = region.capacity
    if seen is None:
        return "not known"
    healthy = "" if seen.healthy is None else f", {seen.healthy} healthy"
    return f"{seen.running} of {seen.desired}{healthy} ({seen.count_min}-{seen.count_max})"


def _alarms(region: RegionSeen) -> str:
    if region.alarms is None:
        return "not known"
    ringing = sum(alarm.state == "ALARM" for alarm in region.alarms)
    silent = len(region.alarms) - ringing
    return f"{ringing} on{f', {silent} without data' if silent else ''}"


def _check(snapshot: Snapshot, region: str) -> str:
    return "not known" if snapshot.dns is None else snapshot.dns.checks.get(region, "none")


def _lease(snapshot: Snapshot) -> str:
    lease = snapshot.lease
    if lease is None:
        return "not known"
    moves = {True: "renewed", False: "nobody renews it", None: "seen once"}[snapshot.lease_moves]
    return f"{lease.region}, epoch {lease.epoch}, {moves}"


def _dns(snapshot: Snapshot) -> str:
    return "not known" if snapshot.dns is None else ", ".join(snapshot.dns.answer) or "no answer"


def _findings(evaluation: Evaluation) -> list[str]:
    shown = evaluation.findings[:FINDINGS_MAX]
    lines = [f"{MARKS[item.level]} {item.text}" for item in shown]
    left = len(evaluation.findings) - len(shown)
    if left:
        lines.append(f"   and {left} more: --json lists all")
    return lines or ["All is well."]


def plan(planned: Plan) -> str:
    """Return a plan for people to read before they decide."""
    lines = [
        f"{planned.kind.capitalize()} from {planned.source} to {planned.target}.",
        "",
    ]
    for number, step in enumerate(planned.steps, 1):
        lines.append(f"{number}. {step.title}  (about {step.expected_s:.0f} s)")
        lines += [f"     calls  {call}" for call in step.calls]
        for condition in step.preconditions:
            met = {True: "yes", False: "NO", None: "not known"}[condition.is_met]
            lines.append(f"     needs  {condition.text}: {met}")
    lines += [
        "",
        f"No payments for about {planned.outage_s:.0f} s; all of it {planned.takes_s:.0f} s.",
    ]
    lines += _losses(planned)
    lines += ["", "What cannot be known:", *(f"   - {text}" for text in planned.unknown)]
    if planned.kind == FAILOVER and planned.signs_of_life:
        lines += ["", f"{planned.source} is alive:"]
        lines += [f"   - {text}" for text in planned.signs_of_life]
    if planned.refusals:
        lines += ["", "It would be refused:", *(f"   - {text}" for text in planned.refusals)]
    else:
        lines += ["", f"To confirm it, type: {planned.phrase}"]
    return "\n".join(lines)


def _losses(planned: Plan) -> list[str]:
    loss = planned.loss
    payments = "an unknown number of" if loss.payments is None else f"up to {loss.payments}"
    seconds = "an unknown time" if loss.seconds is None else f"up to {loss.seconds:.1f} s"
    amounts = ", ".join(
        f"{total} {name} (minor units)" for name, total in loss.amounts_minor.items()
    )
    if loss.payments == 0 and not loss.seconds:
        return [f"Expected loss: none. {loss.text}"]
    worth = f", worth {amounts}" if amounts else ""
    return [f"Expected loss: {payments} payments of {seconds}{worth}.", f"   {loss.text}"]

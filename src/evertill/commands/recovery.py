"""`recovery`: what both regions are like, what a change of the writer would do, and that change.

It is separate from `twin` because it knows none: what is drilled here is what runs against AWS.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, cast

import click
import msgspec

from evertill.authority.taking import Taker
from evertill.commands import recovery_reconcile
from evertill.commands.recovery_failback import failback_command
from evertill.commands.recovery_guard import guard_group
from evertill.commands.recovery_options import Given, surroundings_options
from evertill.recovery import display, journal, report
from evertill.recovery.errors import Forbidden, NotConfirmed
from evertill.recovery.evaluate import as_dict, evaluate
from evertill.recovery.execute import execute
from evertill.recovery.journal import Journal
from evertill.recovery.observing import Looker
from evertill.recovery.plan import FAILOVER, SWITCHOVER, Kind, Plan, accepts, make_plan
from evertill.recovery.steps.running import Run

kind_argument = click.argument("kind", type=click.Choice([SWITCHOVER, FAILOVER]))
to_option = click.option("--to", "target", required=True, metavar="REGION", help="Who shall write.")
LOST: Final = "--old-primary-is-lost"


@click.group("recovery")
def recovery_group() -> None:
    """See who writes, move it to the other region, and account for every payment."""


@recovery_group.command("status", short_help="Print how both regions are, on one screen.")
@click.option("--json", "is_json", is_flag=True, help="Print all that was seen as JSON.")
@surroundings_options
@click.pass_context
def status_command(context: click.Context, *, given: Given, is_json: bool) -> None:
    """Print roles, lag, lease, capacity, alarms, DNS, and what drifted since the last drill.

    Changes nothing. Exits with 1 when something does harm.
    """
    snapshot = Looker(given.around).look()
    evaluation = evaluate(snapshot, given.deployment, journal.read_left(given.folder))
    if is_json:
        click.echo(json.dumps(as_dict(snapshot, evaluation), indent=2))
    else:
        click.echo(display.status(snapshot, evaluation))
    context.exit(0 if evaluation.is_well else 1)


@recovery_group.command("plan", short_help="Print what a change of the writer would do.")
@kind_argument
@to_option
@click.option("--json", "is_json", is_flag=True, help="Print the plan as JSON.")
@surroundings_options
@click.pass_context
def plan_command(
    context: click.Context, *, given: Given, kind: str, target: str, is_json: bool
) -> None:
    """Print the steps, what each calls and needs, how long they take, and what would be lost.

    Changes nothing. A failover is planned without a question to the old region's APIs. Exits with 1
    when `run` would refuse it.
    """
    planned = _plan(given, cast("Kind", kind), target, Taker(target))
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(planned), indent=2))
    else:
        click.echo(display.plan(planned))
    context.exit(1 if planned.refusals else 0)


@recovery_group.command("run", short_help="Let the other region write.")
@kind_argument
@to_option
@click.option(
    LOST,
    "is_lost",
    is_flag=True,
    help="Fail over although the old primary shows signs of life.",
)
@click.option("--confirm", metavar="PHRASE", help="What the plan says to type, for a drill.")
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
@surroundings_options
def run_command(
    *, given: Given, kind: str, target: str, is_lost: bool, confirm: str | None, is_json: bool
) -> None:
    """Carry out a switchover or a failover, and write its report.

    Killed at any point, the same command goes on where it was. A loss may be confirmed that is
    larger than expected: `lose up to 500 payments`.
    """
    change_writer(
        given=given, kind=kind, target=target, is_lost=is_lost, confirm=confirm, is_json=is_json
    )


def change_writer(
    *, given: Given, kind: str, target: str, is_lost: bool, confirm: str | None, is_json: bool
) -> None:
    """Carry out or resume a change of the writer, as `recovery run` was told."""
    source = given.deployment.other(target)
    if kind == FAILOVER:
        given.forgo(source)
    with journal.alone(given.folder):
        taker = Taker(target)
        going = _going_on(given.folder, kind, target)
        if going is None:
            planned = _plan(given, cast("Kind", kind), target, taker)
            if planned.is_done:
                _say(f"{target} writes already: there is nothing to do.")
                _tell_of(given, journal.last_ended(given.folder, kind, target), is_json=is_json)
                return
            _check(planned, is_lost=is_lost)
            _say(display.plan(planned))
            _confirm(planned, confirm)
            going = journal.begin(given.folder, planned)
        else:
            _say(f"Going on with {going.run_id}.")
        try:
            execute(Run(given.around, going, taker, key=given.key, say=_say))
        finally:
            report.write(going, given.around.reports, given.around.pace.speed)
    _tell_of(given, going, is_json=is_json)


def _tell_of(given: Given, run: Journal | None, *, is_json: bool) -> None:
    """Print a run's report, which is written anew: a kill may have come before it."""
    if run is None:
        click.echo("{}" if is_json else "No report was written.")
        return
    written = report.write(run, given.around.reports, given.around.pace.speed)
    text = f"{written.summary}\nThe report is {written.path}."
    click.echo(written.document if is_json else text)


def _say(text: str) -> None:
    """Tell progress; what is printed at the end is the result, and stands alone in a pipe."""
    click.echo(text, err=True)


def _plan(given: Given, kind: Kind, target: str, taker: Taker) -> Plan:
    if kind == FAILOVER:
        given.forgo(given.deployment.other(target))
    snapshot = Looker(given.around, taker.saw).look()
    return make_plan(
        kind,
        target,
        snapshot,
        given.deployment,
        left=journal.read_left(given.folder),
        measured_s=journal.measured_s(given.folder, kind),
    )


def _going_on(folder: Path, kind: str, target: str) -> Journal | None:
    """Return the journal of the same run, unfinished; another unfinished one gives way."""
    found = journal.unfinished(folder)
    if found is None or (found.plan.kind, found.plan.target) == (kind, target):
        return found
    found.write("superseded", text=f"{kind} to {target}")
    _say(f"{found.run_id} was not finished; this run takes its place.")
    return None


def _check(planned: Plan, *, is_lost: bool) -> None:
    if planned.refusals:
        raise Forbidden(" ".join(planned.refusals))
    if planned.kind == FAILOVER and planned.signs_of_life and not is_lost:
        signs = " and ".join(planned.signs_of_life)
        message = (
            f"{planned.source} is alive: {signs}. A switchover loses nothing; a failover may. If "
            f"it is lost nevertheless, say so by {LOST}."
        )
        raise Forbidden(message)


def _confirm(planned: Plan, given: str | None) -> None:
    typed = (
        given if given is not None else click.prompt(f"Type `{planned.phrase}` to go on", err=True)
    )
    if not accepts(planned, str(typed)):
        message = f"`{planned.phrase}` was asked for, not `{typed}`. Nothing was changed."
        raise NotConfirmed(message)


# The commands of reconciliation and failback are added here, from a module of their own.
recovery_group.add_command(guard_group)

for found in (failback_command(change_writer), *recovery_reconcile.commands):
    recovery_group.add_command(found)

commands: list[click.Command] = [recovery_group]

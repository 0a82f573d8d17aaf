"""`recovery failback`: the old region as a standby again, then as the writer, by a switchover.

It is apart from the commands that move the writer because it ends with one of them, which it is
given.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from evertill.commands.recovery_options import Given, surroundings_options
from evertill.recovery import journal
from evertill.recovery.failback import rejoin
from evertill.recovery.plan import SWITCHOVER

Change = Callable[..., None]
"""`recovery run`, without the command line around it."""


def failback_command(change: Change) -> click.Command:
    """Return the command, which carries out its switchover by `change`."""

    @click.command("failback", short_help="Bring the old region back, and let it write.")
    @click.option("--to", "target", required=True, metavar="REGION", help="Which region was lost.")
    @click.option("--only-rejoin", is_flag=True, help="End before the switchover.")
    @click.option("--confirm", metavar="PHRASE", help="What the plan says to type, for a drill.")
    @click.option("--json", "is_json", is_flag=True, help="Print the switchover's report as JSON.")
    @surroundings_options
    def command(
        *, given: Given, target: str, only_rejoin: bool, confirm: str | None, is_json: bool
    ) -> None:
        """Wait until the lost region follows again, keep its old volume, then switch over to it.

        The old volume's snapshot expires: it is copied at once. A switchover loses nothing.
        """
        rejoin(given.around, target, _guard_before(given.folder), _say)
        if only_rejoin:
            click.echo(f"{target} is a standby. Let it write by the same without --only-rejoin.")
            return
        change(
            given=given,
            kind=SWITCHOVER,
            target=target,
            is_lost=False,
            confirm=confirm,
            is_json=is_json,
        )

    return command


def _guard_before(folder: Path) -> int | None:
    """Return the RPO guard of the last run that knew of one."""
    plans = [found.plan.guard_s for found in journal.journals(folder)]
    return next((limit_s for limit_s in reversed(plans) if limit_s is not None), None)


def _say(text: str) -> None:
    click.echo(text, err=True)

"""`recovery guard`: the bound on what a failover can lose, which may also stop payments.

It is apart from the commands that move the writer because it moves nothing.
"""

from __future__ import annotations

import json

import click
import msgspec

from evertill.commands.recovery_options import Given, surroundings_options
from evertill.recovery import journal
from evertill.recovery.errors import NotConfirmed
from evertill.recovery.guarding import LIMIT_MIN_S, Guarded, lift_guard, set_guard, writer_of

json_option = click.option("--json", "is_json", is_flag=True, help="Print what was done as JSON.")


@click.group("guard")
def guard_group() -> None:
    """Bound what a failover can lose (rds.global_db_rpo), or let payments go on without it."""


@guard_group.command("set", short_help="Hold commits back while the standby is far behind.")
@click.option("--limit-s", type=int, default=LIMIT_MIN_S, show_default=True)
@json_option
@surroundings_options
def set_command(*, given: Given, limit_s: int, is_json: bool) -> None:
    """Set the guard on the region that writes. Refused while no standby follows."""
    _tell(given, set_guard(given.around, limit_s), is_json=is_json)


@guard_group.command("lift", short_help="Let commits go on, however far the standby is behind.")
@click.option("--confirm", metavar="PHRASE", help="What is asked for, for a drill.")
@json_option
@surroundings_options
def lift_command(*, given: Given, confirm: str | None, is_json: bool) -> None:
    """Take the guard away. What is committed from then on is lost if the region is."""
    phrase = f"lift the guard of {writer_of(given.around).writer}"
    typed = confirm if confirm is not None else click.prompt(f"Type `{phrase}` to go on", err=True)
    if " ".join(str(typed).lower().split()) != phrase:
        message = f"`{phrase}` was asked for, not `{typed}`. Nothing was changed."
        raise NotConfirmed(message)
    _tell(given, lift_guard(given.around), is_json=is_json)


def _tell(given: Given, done: Guarded, *, is_json: bool) -> None:
    left = journal.read_left(given.folder)
    if left is not None and left.writer == done.region:
        journal.keep_left(given.folder, msgspec.structs.replace(left, guard_s=done.limit_s))
    if is_json:
        click.echo(json.dumps(msgspec.to_builtins(done)))
        return
    before, now = (_words(limit) for limit in (done.before_s, done.limit_s))
    click.echo(f"The RPO guard of {done.region} was {before} and is {now}.")


def _words(limit_s: int | None) -> str:
    return "off" if limit_s is None else f"{limit_s} s"

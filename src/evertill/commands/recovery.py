"""`recovery`: account for every payment after a region was lost."""

from __future__ import annotations

import click

from evertill.commands import recovery_reconcile


@click.group("recovery")
def recovery_group() -> None:
    """See who writes, move it to the other region, and account for every payment."""


for found in recovery_reconcile.commands:
    recovery_group.add_command(found)

commands: list[click.Command] = [recovery_group]

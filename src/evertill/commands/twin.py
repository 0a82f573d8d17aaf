"""`twin`: a cloud assembly's templates, run on this machine.

It is separate from `running` because it works on templates, of any app.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from evertill.commands.twin_control import fault_command, mail_command, status_command
from evertill.domain.errors import UsageError
from evertill.twin.clock import SPEED_MAX
from evertill.twin.plan.plan import plan_of
from evertill.twin.plan.printing import as_dict, tree

# A tree that goes into a file or a pipe is not cut at the width of a terminal that is not there.
PIPE_WIDTH: Final = 200
FOLDER: Final = Path(".evertill") / "twin"
# A new database with its log has some 90 MB, and a copy of it needs its room beside the old one.
DISK_MIN_MB: Final = 384

tasks_option = click.option(
    "--tasks",
    "count_max",
    type=click.IntRange(min=1),
    help="Really start so many tasks of each service at most.",
)


@click.group("twin")
def twin_command() -> None:
    """Run a cloud assembly's templates on this machine, with real parts."""


@twin_command.command("plan")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "is_json", is_flag=True, help="Print the plan as JSON.")
@tasks_option
@click.option(
    "--allow-unsupported",
    "allows_unsupported",
    is_flag=True,
    help="List what nothing here stands for, instead of refusing it.",
)
def plan_command(
    path: Path, *, is_json: bool, count_max: int | None, allows_unsupported: bool
) -> None:
    """Print what would run of the cloud assembly (cdk.out) or template folder at PATH.

    Nothing is started. Exits with 1 and names each resource that nothing here stands for, unless
    that is allowed; with 2 when PATH cannot be used.
    """
    plan = plan_of(path, count_max=count_max, allows_unsupported=allows_unsupported)
    if is_json:
        click.echo(json.dumps(as_dict(plan), indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    console.print(tree(plan))


@twin_command.command("up")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where the data is kept from run to run.",
)
@click.option("--speed", type=click.FloatRange(1, SPEED_MAX), default=1.0, show_default=True)
@tasks_option
@click.option(
    "--allow-unsupported",
    "allows_unsupported",
    is_flag=True,
    help="Run without what nothing here stands for, instead of refusing it.",
)
@click.option(
    "--disk-mb",
    type=click.IntRange(DISK_MIN_MB),
    help="Keep each database in memory, on a disk of this size that fill-disk can fill. "
    "Nothing of the run is kept.",
)
@click.option(
    "--clock-faults",
    is_flag=True,
    help="Let the clocks of tasks and databases jump when jump-clock is set.",
)
def up_command(
    path: Path,
    folder: Path,
    *,
    speed: float,
    count_max: int | None,
    allows_unsupported: bool,
    disk_mb: int | None,
    clock_faults: bool,
) -> None:
    """Run the cloud assembly (cdk.out) or template folder at PATH until Ctrl-C.

    With `--speed 10` a minute of intervals, periods and cooldowns takes six seconds; work takes as
    long as it takes.
    """
    _need_the_twins_packages()
    from evertill.commands.twin_up import run  # noqa: PLC0415 - needs those packages
    from evertill.twin.running.ground import Wanted  # noqa: PLC0415 - as above

    status = run(
        path,
        folder,
        speed=speed,
        count_max=count_max,
        allows_unsupported=allows_unsupported,
        wanted=Wanted(disk_mb or 0, clock_faults),
    )
    raise SystemExit(status)


def _need_the_twins_packages() -> None:
    if sys.platform != "linux":
        message = (
            "The twin needs Linux (a load balancer, and an address of its own for each task); "
            "`make up-lite` runs the payment service alone, here too."
        )
        raise UsageError(message)
    # Not HAProxy's, which is not there for every processor: who starts it says so.
    if find_spec("psutil") is None or find_spec("trustme") is None:
        message = "The twin's packages are not installed here: run `sh scripts/bootstrap twin`."
        raise UsageError(message)


twin_command.add_command(status_command)
twin_command.add_command(mail_command)
twin_command.add_command(fault_command)

commands: list[click.Command] = [twin_command]

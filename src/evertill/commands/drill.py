"""`drill`: break the platform on purpose, and hold what clients saw against what was promised.

It is separate from `twin`, which it starts as anybody would, and from `recovery`, which it calls as
an operator does.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec

from evertill.domain.errors import UsageError
from evertill.drill import files
from evertill.drill.display import markdown, table
from evertill.drill.files import Drill, find_drills, read_drill
from evertill.drill.ground import Ground
from evertill.drill.own_twin import own_twin, until_steady
from evertill.drill.report import Report
from evertill.drill.run import run_drill
from evertill.drill.twin_ground import TwinGround

SPEED_MAX: Final = 60.0
ASSEMBLIES: Final = (Path("build") / "assemblies" / "dev", Path("cdk.out"))
TITLE_COLUMN: Final = 28
REPORT: Final = "report.json"


@click.group("drill")
def drill_group() -> None:
    """Run a drill: load, faults, recovery, and a judgement of every payment."""


@drill_group.command("list", short_help="Print the drills that there are.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=files.FOLDER, help="Where drills lie."
)
def list_command(folder: Path) -> None:
    """Print each drill's name and title."""
    for path in find_drills(folder):
        click.echo(f"{path.stem:<{TITLE_COLUMN}} {read_drill(path).title}")


@drill_group.command("run", short_help="Run one drill and print what came of it.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--endpoint", metavar="URL", help="A running twin's control API; else one is started."
)
@click.option(
    "--assembly",
    type=click.Path(path_type=Path, exists=True),
    help="The templates that a twin of its own runs; else the checkout's own, once they are made.",
)
@click.option("--speed", type=click.FloatRange(1, SPEED_MAX), default=1.0, show_default=True)
@click.option("--seed", type=int, help="Another seed than the file's.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Keep the report, the history and recovery's journals here.",
)
@click.pass_context
def run_command(  # noqa: PLR0913 - an argument for each option
    context: click.Context,
    file: Path,
    *,
    is_json: bool,
    endpoint: str | None,
    assembly: Path | None,
    speed: float,
    seed: int | None,
    folder: Path | None,
) -> None:
    """Run the drill FILE, or the shipped drill of that name.

    Exits with 0 when every bound and every invariant held, else with 1. Bounds are meant at speed
    1.
    """
    path = file if file.suffix else files.FOLDER / f"{file}{files.SUFFIX}"
    drill = read_drill(path)
    if seed is not None:
        drill = msgspec.structs.replace(drill, seed=seed)
    if endpoint is not None and speed != 1:
        raise UsageError("--speed is for a twin of the drill's own; this one has its speed.")

    def say(line: str) -> None:
        click.echo(line, err=True)

    say(f"{drill.title} (seed {drill.seed})")
    with _kept(folder) as kept:

        async def session() -> Report:
            if endpoint is not None:
                return await _run(drill, path.stem, TwinGround.connect(endpoint), kept, say)
            async with own_twin(
                assembly or _assembly(),
                speed=speed,
                tasks=drill.tasks,
                options=drill.twin_options,
            ) as ground:
                return await _run(drill, path.stem, ground, kept, say)

        report = asyncio.run(session())
        (kept / REPORT).write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    click.echo(json.dumps(report.as_dict(), indent=2) if is_json else table(report))
    context.exit(0 if report.is_passed else 1)


@drill_group.command("table", short_help="Print what drills found, as Markdown.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def table_command(folder: Path) -> None:
    """Print one table of the reports that `run --folder FOLDER/NAME` left, those of speed 1."""
    reports = [
        msgspec.json.decode(path.read_bytes(), type=Report)
        for path in sorted(folder.glob(f"*/{REPORT}"))
    ]
    click.echo(markdown(report for report in reports if report.speed == 1))


def _assembly() -> Path:
    """Return the templates that were made in this checkout; raise UsageError without any."""
    for place in ASSEMBLIES:
        if (found := files.FOLDER.parent / place).is_dir():
            return found
    raise UsageError(
        "There are no templates to run: `make synth` makes them, --assembly names some."
    )


async def _run(
    drill: Drill, name: str, ground: Ground, folder: Path, say: Callable[[str], None]
) -> Report:
    await until_steady(ground)
    return await run_drill(drill, name, ground, folder, say)


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """Give the folder to keep things in: the one that was named, or one that goes afterwards."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="evertill-history-") as made:
        yield Path(made)


commands: list[click.Command] = [drill_group]

"""`cost`: what a month of a deployment costs, estimated from its templates.

It is separate because it needs the templates, which another program writes, and no run-time code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from evertill.assembly import AssemblyUnreadable
from evertill.cost.estimate import Estimate, NoPrice, estimate
from evertill.cost.prices import read_prices
from evertill.cost.standing import NotTold
from evertill.cost.usage import ASSUMPTIONS
from evertill.domain.errors import EvertillError

WIDTH: Final = 80
PAYMENTS_PER_MONTH: Final = 10_000_000
SETTINGS_SUFFIX: Final = ".toml"
SYNTH_TIMEOUT_S: Final = 300
CAVEAT: Final = (
    "An estimate from list prices and assumptions. Nobody has deployed this to AWS, so it was "
    "never held against a bill."
)


class CannotEstimate(EvertillError):
    """The cost cannot be estimated."""


@click.command("cost", short_help="Estimate what a deployment costs a month.")
@click.argument("environment")
@click.option(
    "--assembly",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Templates that `make synth` wrote. Without it they are synthesized anew.",
)
@click.option(
    "--payments",
    type=click.IntRange(min=0),
    default=PAYMENTS_PER_MONTH,
    show_default=True,
    help="Payments in the month that is summed up.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON.")
def cost_command(environment: str, assembly: Path | None, *, payments: int, is_json: bool) -> None:
    """Estimate what ENVIRONMENT costs a month: by component and region, and per million payments.

    ENVIRONMENT is dev, prod, or a settings file of your own (NAME.toml).

    Quantities come from the templates, prices from a dated table of list prices.
    """
    result = _estimate(environment, assembly)
    if is_json:
        told = {"environment": environment, "payments": payments, "caveat": CAVEAT}
        told |= {"total_usd": str(result.total_usd(payments)), **msgspec.to_builtins(result)}
        told["assumptions"] = msgspec.to_builtins(ASSUMPTIONS)
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(_lines(environment, payments, result)))


def _estimate(environment: str, assembly: Path | None) -> Estimate:
    try:
        if assembly is not None:
            return estimate(assembly, read_prices())
        with tempfile.TemporaryDirectory(prefix="evertill-cost-") as folder:
            _synthesize(environment, Path(folder))
            return estimate(Path(folder), read_prices())
    except (NoPrice, NotTold) as error:
        raise CannotEstimate(str(error)) from error
    except AssemblyUnreadable as error:
        message = f"{error} `make synth` writes an assembly."
        raise CannotEstimate(message) from error


def _synthesize(environment: str, folder: Path) -> None:
    """Have the templates written by a process of its own: only they are read here."""
    is_file = environment.endswith(SETTINGS_SUFFIX)
    which = ["--settings", environment] if is_file else [environment]
    words = ["-m", "evertill.infrastructure", *which, "--rehearsal", "--out", str(folder)]
    try:
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=SYNTH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        message = f"The templates took longer than {SYNTH_TIMEOUT_S} s to synthesize."
        raise CannotEstimate(message) from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing."])[-1]
        message = f"The templates cannot be synthesized: {said.removeprefix('evertill: ')}"
        raise CannotEstimate(message)


def _lines(environment: str, payments: int, result: Estimate) -> Iterator[str]:
    yield f"What {environment} costs, in USD"
    yield ""
    yield f"{'component':26}{'region':12}{'a month':>18}{'per million paid':>22}"
    for item in result.items:
        figures = f"{item.month_usd:>18,.2f}{item.per_million_usd:>22,.2f}"
        yield f"{item.component:26}{item.region:12}{figures}"
    yield f"{'':38}{'-' * 12:>18}{'-' * 12:>22}"
    yield f"{'together':38}{result.month_usd:>18,.2f}{result.per_million_usd:>22,.2f}"
    yield f"{f'with {payments:,} payments':38}{result.total_usd(payments):>18,.2f}"
    yield ""
    yield from _wrapped(CAVEAT)
    dated = f"Prices are of {result.prices_date} or later (src/evertill/cost/prices.toml)."
    yield from _wrapped(dated)
    if result.prices_remembered:
        names = ", ".join(result.prices_remembered)
        yield from _wrapped(f"From memory, not looked up: {names}.")
    if result.not_priced:
        yield from _wrapped(f"Not priced: {', '.join(result.not_priced)}.")
    yield "Left out:"
    for what in result.left_out:
        yield from _wrapped(what, "- ")
    yield "Assumed of each payment:"
    for name, assumption in ASSUMPTIONS.items():
        yield from _wrapped(f"{name} {assumption.value}: {assumption.reason}", "- ")


def _wrapped(text: str, bullet: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet))


commands: list[click.Command] = [cost_command]

"""`check`: what linters pass and AWS would break, in any cloud assembly.

It is separate because it needs neither the service nor a database: a folder of templates will do.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import click

from evertill.assembly import Model, read
from evertill.checks import RULES, Finding, check
from evertill.checks.registry import sentence

WIDTH: Final = 80
INDENT: Final = "    "
EXIT_FOUND: Final = 1


def _list_rules(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        for name in RULES:
            click.echo(f"{name}\n{_wrapped(sentence(name))}")
        context.exit()


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "is_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--rules",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_rules,
    help="List the rules and what each holds.",
)
def check_command(path: Path, *, is_json: bool) -> int:
    """Check the cloud assembly (cdk.out) or the folder of *.template.json files at PATH.

    Each finding names a resource, what will come of it, and a remedy. What the templates do not
    tell is not reported. Exits with 1 when there are findings, with 2 when PATH cannot be used.
    """
    model = read(path)
    findings = check(model)
    if is_json:
        click.echo(json.dumps({"findings": [finding.as_dict() for finding in findings]}, indent=2))
    else:
        click.echo(_report(model, findings))
    return EXIT_FOUND if findings else 0


def _report(model: Model, findings: Sequence[Finding]) -> str:
    lines: list[str] = []
    for (stack, resource), found in groupby(findings, lambda item: (item.stack, item.resource)):
        lines += _heading(model, stack, resource)
        for finding in found:
            lines += [f"  {finding.rule}", _wrapped(finding.consequence)]
            lines += [_wrapped(f"Fix: {finding.fix}"), ""]
    return "\n".join([*lines, _summary(model, findings)])


def _heading(model: Model, stack_id: str, logical_id: str) -> list[str]:
    stack = model.stack(stack_id)
    place = f"{stack_id} ({stack.region})" if stack and stack.region else stack_id
    kind = stack.resources[logical_id].type if stack and logical_id in stack.resources else ""
    return [place, *textwrap.wrap(f"{logical_id}  {kind}", WIDTH)]


def _summary(model: Model, findings: Sequence[Finding]) -> str:
    looked = (
        f"{_counted(len(RULES), 'rule')} over {_counted(len(model.resources), 'resource')} in "
        f"{_counted(len(model.stacks), 'stack')}"
    )
    if not findings:
        return f"No findings: {looked}."
    return f"{_counted(len(findings), 'finding')}: {looked}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        # A name is to be copied whole, however long it is and wherever it has a hyphen.
        break_on_hyphens=False,
        break_long_words=False,
    )


commands: list[click.Command] = [check_command]

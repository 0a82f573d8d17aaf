"""`openapi`: what is generated from the code, for people and other programs.

It is separate because it needs every type of the service and none of its processes.
"""

from __future__ import annotations

import json

import click

from evertill.service import openapi


@click.command("openapi")
@click.option("--write", "is_written", is_flag=True, help="Replace the committed document.")
def openapi_command(*, is_written: bool) -> None:
    """Print the OpenAPI 3.1 document, as generated from the typed models."""
    if is_written:
        openapi.write()
        click.echo("The OpenAPI document is written.")
    else:
        click.echo(json.dumps(openapi.document(), indent=2, ensure_ascii=False))


commands: list[click.Command] = [openapi_command]

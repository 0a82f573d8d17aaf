"""The command `evertill`: finds a subcommand, runs it, and says in one sentence what went wrong.

Subcommands are loaded when they are called, so `--help` costs no database driver. Nothing but the
table below has to know them all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from evertill import __version__
from evertill.domain.errors import EvertillError, UsageError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
HELP_WIDTH: Final = 80

_RUNNING: Final = "evertill.commands.running"
_MERCHANTS: Final = "evertill.commands.merchants"
_CLIENT: Final = "evertill.client.commands"

COMMANDS: Final = {
    "up": (_RUNNING, "Start PostgreSQL and the service here; Ctrl-C stops."),
    "pay": (_CLIENT, "Take one payment."),
    "import": (_CLIENT, "Take the payments of a CSV or NDJSON file."),
    "sample": (_CLIENT, "Write realistic payments to import."),
    "serve": (_RUNNING, "Run the service alone, on a database of yours."),
    "migrate": (_RUNNING, "Bring a database to this release's schema."),
    "merchants": (_MERCHANTS, "Create merchants and change their terms."),
    "check": ("evertill.commands.check", "Find in templates what AWS would break."),
    "keys": (_MERCHANTS, "Create and revoke API keys."),
    "journal": ("evertill.commands.journal", "Verify or export the transaction log."),
    "twin": ("evertill.commands.twin", "Run templates here, with real parts."),
    "recovery": ("evertill.commands.recovery", "Move the writer to the other region."),
    "drill": ("evertill.commands.drill", "Break the platform, judge each payment."),
    "openapi": ("evertill.commands.papers", "Print the OpenAPI document."),
    "cost": ("evertill.commands.cost", "Estimate what a deployment costs a month."),
}
"""Each subcommand's module, which lists its own as `commands`, and its line in the help."""


class _Subcommands(click.Group):
    """A group that knows its subcommands' names before it loads them."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name][0])
        found: list[click.Command] = module.commands
        return next(command for command in found if command.name == cmd_name)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    "evertill",
    cls=_Subcommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
)
@click.version_option(__version__, message="evertill %(version)s")
def evertill() -> None:
    """Evertill takes payments and keeps taking them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        status = evertill.main(args=arguments, prog_name="evertill", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except EvertillError as error:
        return _complain(str(error), EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
    except Exception as error:
        sentence = _database_trouble(error)
        if sentence is None:
            raise
        return _complain(sentence, EXIT_FAILED)
    return status if isinstance(status, int) else 0


def _complain(sentence: str, status: int) -> int:
    click.echo(f"evertill: {sentence}", err=True)
    return status


def _database_trouble(error: Exception) -> str | None:
    """Return a sentence for what the database refused, None when the error is ours.

    The driver is looked up and not imported: whoever did not use it cannot have its errors.
    """
    driver = sys.modules.get("psycopg")
    if driver is None or not isinstance(error, driver.Error):
        return None
    # Of several addresses that were tried, the last line tells of the last; none holds a password.
    lines = [line.strip() for line in str(error).splitlines() if "failed: " in line]
    if isinstance(error, driver.OperationalError) and error.sqlstate is None:
        cause = (lines or str(error).splitlines() or ["no reason given"])[-1]
        cause = cause.removeprefix("- ").rpartition("connection failed: ")[2]
        return f"PostgreSQL cannot be reached: {cause}. Check EVERTILL_DATABASE_URL."
    if error.sqlstate is None:
        return None
    return f"PostgreSQL refused: {error.diag.message_primary or error.sqlstate}."


if __name__ == "__main__":
    sys.exit(main())

"""`twin status`, `twin mail` and `twin fault`: a running twin, asked and disturbed.

They are separate from the other commands of the twin because they speak to one over HTTP and need
none of what runs it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import httpx
import msgspec
from rich.console import Console
from rich.live import Live

from evertill.commands.twin_screen import screen
from evertill.domain.errors import EvertillError, UsageError

FOLDER: Final = Path(".evertill") / "twin"
CONTROL_FILE: Final = "control.json"
# A fault on many parts ends when all of them are down; bringing a region back takes longer.
TIMEOUT_S: Final = 120.0
WATCH_INTERVAL_S: Final = 1.0
WIDTH: Final = 80

Command = TypeVar("Command", bound=Callable[..., Any])


class NoTwin(EvertillError):
    """No twin runs here. Start one with `evertill twin up cdk.out`."""

    code = "no_twin"


class Refused(EvertillError):
    """The twin refused."""

    code = "refused"


def _where(command: Command) -> Command:
    """Add the options that say which twin is meant."""
    folder = click.option(
        "--folder",
        type=click.Path(path_type=Path),
        default=FOLDER,
        show_default=True,
        help="The folder of the twin that runs.",
    )
    endpoint = click.option("--endpoint", help="Its control API, instead of the folder.")
    return folder(endpoint(command))


@click.command("status")
@click.option("--json", "is_json", is_flag=True, help="Print the whole status as JSON.")
@click.option("--watch", "is_watched", is_flag=True, help="Draw it again every second.")
@_where
def status_command(folder: Path, endpoint: str | None, *, is_json: bool, is_watched: bool) -> None:
    """Show a running twin: what runs where, and what is wrong."""
    if is_json and is_watched:
        message = "Give one of --json and --watch."
        raise UsageError(message)
    twin = _Twin(folder, endpoint)
    status = twin.ask("GET", "/status")
    if is_json:
        click.echo(json.dumps(status, indent=2))
        return
    console = Console(highlight=False, width=WIDTH)
    if not is_watched:
        console.print(screen(status))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(screen(status), console=console) as live:
        while True:
            time.sleep(WATCH_INTERVAL_S)
            live.update(screen(twin.ask("GET", "/status")))


@click.command("mail")
@click.argument("number", type=int, required=False)
@_where
def mail_command(folder: Path, endpoint: str | None, *, number: int | None) -> None:
    """List the mails that alarms have sent, or print the one with a NUMBER."""
    twin = _Twin(folder, endpoint)
    if number is None:
        mails = twin.ask("GET", "/mail")["mails"]
        for mail in mails:
            click.echo(f"{mail['id']:>4}  {mail['at']}  {mail['region']:<12} {mail['subject']}")
        if not mails:
            click.echo("There is no mail.")
        return
    mail = twin.ask("GET", f"/mail/{number}")
    for name in ("at", "to", "subject"):
        click.echo(f"{name.capitalize()}: {mail[name]}")
    click.echo(f"\n{mail['body']}")


@click.command("fault")
@click.argument("kind")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@_where
def fault_command(
    folder: Path, endpoint: str | None, *, kind: str, parameters: tuple[str, ...]
) -> None:
    """Break something: `fault list`, `fault KIND NAME=VALUE ...`, `fault undo ID` or `undo all`.

    `fault list KIND` tells what a kind can be set on.
    """
    twin = _Twin(folder, endpoint)
    match kind, parameters:
        case "list", ():
            _list(twin.ask("GET", "/faults"))
        case "list", (wanted,):
            _list_targets(twin.ask("GET", "/faults"), wanted)
        case "undo", ("all",):
            undone = twin.ask("DELETE", "/faults")["undone"]
            click.echo(f"Undone: {', '.join(undone) or 'nothing was set'}.")
        case "undo", (fault_id,):
            twin.ask("DELETE", f"/faults/{fault_id}")
            click.echo(f"Undone: {fault_id}.")
        case "undo" | "list", _:
            message = "It is `fault list`, `fault list KIND`, `fault undo ID` or `fault undo all`."
            raise UsageError(message)
        case _:
            active = twin.ask("POST", "/faults", {"fault": kind, **_parsed(parameters)})
            click.echo(f"{active['id']}  {_words(active)}")
            click.echo(f"Undo it with: evertill twin fault undo {active['id']}")


def _parsed(parameters: tuple[str, ...]) -> dict[str, str]:
    pairs = [parameter.partition("=") for parameter in parameters]
    for parameter, (name, equals, _) in zip(parameters, pairs, strict=True):
        if not name or not equals:
            message = f"{parameter!r} is not NAME=VALUE."
            raise UsageError(message)
    return {name: value for name, _, value in pairs}


def _list(faults: dict[str, Any]) -> None:
    for kind in faults["kinds"]:
        click.echo(f"{kind['fault']} {_usage(kind)}".rstrip())
        click.echo(f"    {kind['summary']}")
    for active in faults["active"]:
        click.echo(f"Set: {active['id']}  {_words(active)}")


def _list_targets(faults: dict[str, Any], wanted: str) -> None:
    kind = next((item for item in faults["kinds"] if item["fault"] == wanted), None)
    if kind is None:
        message = f"There is no fault {wanted!r}; `fault list` tells which there are."
        raise UsageError(message)
    click.echo(f"{kind['fault']} {_usage(kind)}".rstrip())
    for target in kind["targets"]:
        click.echo(f"    {' '.join(f'{name}={value}' for name, value in target.items())}")


def _usage(kind: dict[str, Any]) -> str:
    words = [
        f"[{name}={kind['defaults'][name]}]" if name in kind["defaults"] else f"{name}=..."
        for name in kind["parameters"]
    ]
    return " ".join(words)


def _words(active: dict[str, Any]) -> str:
    named = [f"{name}={value}" for name, value in active["parameters"].items()]
    return " ".join([active["fault"], *named])


class _Twin:
    """The control API of the twin that is meant."""

    def __init__(self, folder: Path, endpoint: str | None) -> None:
        self._url = (endpoint or _found(folder)).rstrip("/")

    def ask(self, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = httpx.request(
                method, f"{self._url}{path}", json=document, timeout=TIMEOUT_S, trust_env=False
            )
        except httpx.ConnectError as failure:
            raise NoTwin from failure
        except httpx.HTTPError as failure:
            message = f"The twin at {self._url} did not answer: {type(failure).__name__}."
            raise Refused(message) from failure
        try:
            told = answer.json()
        except ValueError:
            message = f"What answers at {self._url} is no twin."
            raise Refused(message) from None
        if not answer.is_success:
            raise Refused(str(told.get("message", told)))
        return told


def _found(folder: Path) -> str:
    try:
        written = msgspec.json.decode((folder / CONTROL_FILE).read_bytes(), type=dict[str, Any])
        return str(written["url"])
    except (OSError, msgspec.DecodeError, KeyError):
        raise NoTwin from None

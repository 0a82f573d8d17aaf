"""`journal`: prove the transaction log whole, and write it out for auditors.

Both read a bucket or a folder and need neither the database nor the service.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from evertill.domain.errors import EvertillError, UsageError
from evertill.journal.export import export
from evertill.journal.stores import LOCATION_PREFIX, FolderStore, Store, open_store
from evertill.journal.verify import Report, verify

DEFAULT_FOLDER: Final = Path(".evertill/log")
BREAKS_SHOWN_MAX: Final = 20
ENDPOINT_VARIABLE: Final = "EVERTILL_AWS_ENDPOINT_URL"
BUCKET_VARIABLE: Final = "EVERTILL_LOG_BUCKET"
FOLDER_VARIABLE: Final = "EVERTILL_LOG_FOLDER"

LOCATION_HELP: Final = (
    "LOCATION is a folder or s3://bucket; without it, the one in EVERTILL_LOG_BUCKET, "
    "EVERTILL_LOG_FOLDER or .evertill/log."
)


class LogBroken(EvertillError):
    """The transaction log is not whole."""

    code = "log_broken"


@click.group("journal")
def journal_group() -> None:
    """Prove the transaction log whole, or write it out for auditors."""


@journal_group.command("verify", short_help="Prove the log whole, or say where it breaks.")
@click.argument("location", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def verify_command(context: click.Context, location: str | None, *, is_json: bool) -> None:
    """Walk the whole log: every chain, object and record. Exits with 1 when it is not whole.

    LOCATION is a folder or s3://bucket; without it, what EVERTILL_LOG_BUCKET or EVERTILL_LOG_FOLDER
    names, else .evertill/log.
    """
    report = verify(_store(location))
    if is_json:
        told = {"whole": report.whole, **msgspec.to_builtins(report)}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(_sentences(report))
    context.exit(0 if report.whole else 1)


@journal_group.command("export", short_help="Write the log as CSV.")
@click.argument("location", required=False)
@click.option("--from", "since", required=True, help="First day or time, in UTC: 2026-11-01.")
@click.option("--to", "until", required=True, help="Day or time where it ends, itself excluded.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="File to write; else the standard output.",
)
def export_command(location: str | None, since: str, until: str, output: Path | None) -> None:
    """Write the events of a time as CSV, each once, with its place in the log.

    The log is verified first and nothing is written when it is not whole. LOCATION is as for
    `verify`.
    """
    store = _store(location)
    begin, end = _time(since, "--from"), _time(until, "--to")
    if end <= begin:
        raise UsageError("--to must be later than --from.")
    report = verify(store)
    if not report.whole:
        first = report.breaks[0]
        message = f"The log is not whole ({first.key}: {first.reason}); see `journal verify`."
        raise LogBroken(message)
    if output is None:
        export(store, sys.stdout, begin, end)
        return
    try:
        with output.open("w", newline="") as target:
            count = export(store, target, begin, end)
    except OSError as failure:
        raise UsageError(f"{output} cannot be written: {failure.strerror}.") from failure
    click.echo(f"{count} events are in {output}.")


def _store(location: str | None) -> Store:
    """Open the log that is meant; raise UsageError when there is none."""
    bucket = os.environ.get(BUCKET_VARIABLE)
    if location is None and bucket:
        location = LOCATION_PREFIX + bucket
    location = location or os.environ.get(FOLDER_VARIABLE) or str(DEFAULT_FOLDER)
    store = open_store(location, os.environ.get(ENDPOINT_VARIABLE, ""))
    if isinstance(store, FolderStore) and not Path(location).is_dir():
        raise UsageError(f"There is no folder {location}. {LOCATION_HELP}")
    return store


def _time(text: str, option: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        message = f"{option} is a day or a time such as 2026-11-01 or 2026-11-01T12:00:00Z."
        raise UsageError(message) from None
    return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)


def _sentences(report: Report) -> str:
    """Return the report for a person."""
    counts = (
        f"{report.records} records ({report.repeated} of them repeated) in {report.objects} "
        f"objects of {report.chains} chains"
    )
    if report.alone:
        counts += f", {report.alone} of them a validation function's"
    lines = [f"The log is whole: {counts}." if report.whole else f"The log is BROKEN: {counts}."]
    lines += [
        f"  {found.key}{f', line {found.line}' if found.line else ''}: {found.reason}."
        for found in report.breaks[:BREAKS_SHOWN_MAX]
    ]
    if len(report.breaks) > BREAKS_SHOWN_MAX:
        lines.append(f"  and {len(report.breaks) - BREAKS_SHOWN_MAX} more breaks.")
    lines += [
        f"Tail: chain {tail.chain} goes on from object {tail.from_sequence} ({tail.objects} "
        "objects) behind where the next chain follows it; no break, but see whether its events "
        "are known."
        for tail in report.tails
        if tail.objects > 1
    ]
    if report.heads:
        newest = report.heads[-1]
        lines.append(f"Newest: object {newest.sequence} of {newest.chain}, hash {newest.hash}.")
    if report.foreign_keys:
        lines.append(f"{report.foreign_keys} other keys are no objects of the log.")
    return "\n".join(lines)


commands: list[click.Command] = [journal_group]

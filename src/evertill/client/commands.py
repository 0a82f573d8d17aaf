"""The commands of this room: `sample`, `import` and `pay`.

They are separate from what they call because options, exit codes and signals are about the shell.
A command fails by raising an EvertillError, which the command line's main turns into one line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from types import FrameType
from typing import Final

import click

from evertill.client.api import Client
from evertill.client.defaults import Access, find_access
from evertill.client.display import Display
from evertill.client.encoding import CsvEncoder, Encoder, NdjsonEncoder
from evertill.client.importer import Importer
from evertill.client.pay import as_json, as_text, pay
from evertill.client.payments_file import NDJSON_SUFFIXES, PaymentsFile
from evertill.client.record import unwritable
from evertill.client.retries import UNATTENDED
from evertill.client.sample import write_sample
from evertill.client.totals import DECLINED
from evertill.domain.errors import OutcomeUnknown

STANDARD_OUTPUT: Final = "-"
WRITE_BUFFER_BYTES: Final = 1024 * 1024
SERVICE_DIGEST_BYTES: Final = 16
EXIT_DECLINED: Final = 1

Command = Callable[..., None]


def _access_options(command: Command) -> Command:
    """Add the options that say which service is meant."""
    key = click.option("--key", metavar="KEY", help="API key; else $EVERTILL_API_KEY, else demo's.")
    url = click.option("--url", metavar="URL", help="Service; else $EVERTILL_URL, else demo's.")
    as_json = click.option("--json", "is_json", is_flag=True, help="Print figures as JSON.")
    return url(key(as_json(command)))


@click.command("sample")
@click.option("--count", type=click.IntRange(min=0), required=True, help="How many payments.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same file.")
@click.option("--output", default=STANDARD_OUTPUT, metavar="FILE", help="Where to; - is stdout.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["csv", "ndjson"]),
    help="Default: by FILE's name, else csv.",
)
def sample_command(count: int, seed: int, output: str, style: str | None) -> None:
    """Write realistic payments to import: retries and bad lines included."""
    encoder = _encoder(style, output)
    try:
        if output == STANDARD_OUTPUT:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr] # a text stream
            sys.stdout.writelines(write_sample(count, seed, encoder))
            sys.stdout.flush()
            return
        with Path(output).open(
            "w", encoding="utf-8", newline="\n", buffering=WRITE_BUFFER_BYTES
        ) as stream:
            stream.writelines(write_sample(count, seed, encoder))
    except BrokenPipeError:
        # Whoever read has enough, as `head` has; the interpreter must not flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise unwritable(Path(output), error) from error


def _encoder(style: str | None, output: str) -> Encoder:
    if style is None:
        style = "ndjson" if Path(output).suffix.lower() in NDJSON_SUFFIXES else "csv"
    return CsvEncoder() if style == "csv" else NdjsonEncoder()


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_access_options
def import_command(
    file: Path,
    url: str | None,
    key: str | None,
    is_json: bool,  # noqa: FBT001 - click's call.
) -> None:
    """Take the payments of FILE (.csv or .ndjson) through the service.

    Needs the columns amount (major units), currency and source; reads reference, description,
    merchant and capture. Rejected lines go to FILE.rejects.csv. An interrupted import goes on where
    it was when it is run again; no line is ever paid twice.
    """
    access = find_access(url, key)
    stop = threading.Event()
    with (
        PaymentsFile(file) as payments,
        Client(
            access.url,
            access.key,
            patience=UNATTENDED,
            stop=stop,
            authorities=access.authorities,
        ) as client,
    ):
        if payments.unread:
            click.echo(f"Columns that are not read: {', '.join(payments.unread)}", err=True)
        importer = Importer(payments, client, _service_of(access), stop)
        if importer.resumed_after_line:
            click.echo(f"Going on after line {importer.resumed_after_line}.", err=True)
        with Display(payments.size, importer.offset) as display, _stopped_by_signals(stop):
            summary = importer.run(display.show)
    click.echo(summary.as_json() if is_json else summary.as_text())


def _service_of(access: Access) -> str:
    """Identify the service and the merchant without writing the key down."""
    text = f"{access.url}\0{access.key}".encode()
    return blake2b(text, digest_size=SERVICE_DIGEST_BYTES).hexdigest()


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on the first SIGINT or SIGTERM; the second one ends the process as usual.

    An exception out of nowhere could separate a count from the record of it.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        click.echo("Stopping after the calls on their way ...", err=True)

    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command("pay")
@click.option("--amount", required=True, metavar="10.99", help="In major units, exactly.")
@click.option("--currency", required=True, metavar="USD", help="ISO 4217 code.")
@click.option("--source", metavar="tok_...", help="What is paid with; made up when left out.")
@click.option("--reference", metavar="TEXT", help="Your own reference.")
@click.option("--no-capture", is_flag=True, help="Authorize only.")
@click.option("--idempotency-key", metavar="K", help="Retry of an earlier payment.")
@_access_options
def pay_command(  # noqa: PLR0913 - one parameter for each option.
    *,
    amount: str,
    currency: str,
    source: str | None,
    reference: str | None,
    no_capture: bool,
    idempotency_key: str | None,
    url: str | None,
    key: str | None,
    is_json: bool,
) -> None:
    """Take one payment and print what became of it; exits with 1 when it was declined."""
    access = find_access(url, key)
    payment_key = idempotency_key or str(uuid.uuid4())
    with Client(access.url, access.key, authorities=access.authorities) as client:
        # Before the call, so that whoever interrupts it knows the key as well.
        click.echo(f"Idempotency key: {payment_key}", err=True)
        try:
            taken = pay(
                client,
                payment_key,
                amount,
                currency,
                source,
                reference=reference,
                capture=not no_capture,
            )
        except OutcomeUnknown as error:
            message = (
                "The outcome is unknown: no final answer came in time. Run the same command with "
                f"--idempotency-key {payment_key} to learn it; nothing is taken twice."
            )
            raise OutcomeUnknown(message) from error
    click.echo(as_json(taken, payment_key) if is_json else as_text(taken))
    if taken.payment.status == DECLINED:
        raise SystemExit(EXIT_DECLINED)


commands: list[click.Command] = [sample_command, import_command, pay_command]
"""What `evertill.cli` adds to its group."""

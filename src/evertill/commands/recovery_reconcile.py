"""`recovery reconcile` and `recovery verify-report`: account for what a failover lost.

They are apart from the commands that move the writer: they are for the days after, when the old
region is back or its volume was restored, and they ask people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import click
import msgspec

from evertill.authority.keeping import Keeper
from evertill.authority.lease import Lease, Look
from evertill.commands.recovery_options import Given, surroundings_options
from evertill.domain.errors import EvertillError, UsageError
from evertill.journal.stores import FolderStore, open_store
from evertill.recovery.reconciliation import proposal as proposals
from evertill.recovery.reconciliation import report as reports
from evertill.recovery.reconciliation.applying import LeaseNotHeld, Permit, Result
from evertill.recovery.reconciliation.logs import Location
from evertill.recovery.reconciliation.reconciling import Findings, Sources, apply, look
from evertill.recovery.reconciliation.signing import Signer, read_signature
from evertill.recovery.surroundings import Surroundings
from evertill.recovery.volumes import keep_volumes

OLD_VARIABLE: Final = "EVERTILL_OLD_DATABASE_URL"
SIGNING_KEY: Final = "alias/evertill-recovery"
REPORT_FILES: Final = ("report.json", "report.md", "report.sig.json")
FOLDER: Final = Path(".evertill") / "reconciliation"
# A lease that the region holds is renewed by us within a moment.
LEASE_TIMEOUT_S: Final = 10.0
POLL_INTERVAL_S: Final = 0.05


@click.command("reconcile", short_help="Compare the books of two regions, and settle them.")
@click.option(
    "--old",
    "old_url",
    envvar=OLD_VARIABLE,
    required=True,
    help=f"The old volume's URL. Else {OLD_VARIABLE}, which no list of processes shows.",
)
@click.option("--new", "new_url", help="The new primary's URL, if not that of who writes now.")
@click.option(
    "--log",
    "locations",
    multiple=True,
    metavar="REGION=LOCATION",
    help="A region's transaction log: a folder or s3://bucket. Repeat it for each region.",
)
@click.option(
    "--delivered",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Events that a receiver was told of: an id or a JSON event a line.",
)
@click.option(
    "--approve",
    "approved",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Carry out what this proposal decides.",
)
@click.option("--by", "approved_by", help="Who approves it; stands in the books for good.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder of the proposal, the report and its signature.",
)
@click.option(
    "--sign-with",
    "key",
    default=SIGNING_KEY,
    show_default=True,
    help="KMS key for signing, in the new primary's region: id, ARN or alias.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
@surroundings_options
@click.pass_context
def reconcile_command(  # noqa: PLR0913 - one parameter for each option
    context: click.Context,
    *,
    given: Given,
    old_url: str,
    new_url: str | None,
    locations: tuple[str, ...],
    delivered: Path | None,
    approved: Path | None,
    approved_by: str | None,
    output: Path,
    key: str,
    is_json: bool,
) -> None:
    """Compare the old volume, the new primary, the logs and what was delivered.

    Without --approve nothing is changed: a proposal is written for a person to read and to edit.
    With it, what the file decides is carried out in the new primary, each step once however often
    this is run. Exits with 0 when nothing is left unexplained, and then signs the report; else 1.
    """
    around = given.around
    stores = [_location(text, around) for text in locations]
    sources = Sources(old_url, new_url or _writer_url(around), stores, delivered)
    findings, results = look(sources), list[Result]()
    _keep_volumes(around, findings.books.new.region)
    if approved is not None:
        if not approved_by:
            raise UsageError("Say by --by who approves.")
        proposal = proposals.read(approved)
        with _leave(around, findings.books.new.region) as permit:
            results = apply(sources, findings, proposal, approved_by, permit)
        findings = look(sources)
    written = _write_proposal(findings, output) if findings.open else None
    document = reports.document(findings, results)
    content, text = reports.render(document)
    proposals.write_whole(output / "report.json", content)
    proposals.write_whole(output / "report.md", text)
    told = _summary(document, written)
    click.echo(content.decode() if is_json else told)
    if is_json:
        click.echo(told, err=True)
    if findings.is_explained:
        region = document.new.region
        signer = Signer(key, region, around.region(region).endpoint)
        signature = signer.sign("report.json", content)
        proposals.write_whole(output / "report.sig.json", msgspec.json.encode(signature))
        click.echo(f"Signed with {signature.key}: {output / 'report.sig.json'}.", err=True)
    context.exit(0 if findings.is_explained else 1)


@click.command("verify-report", short_help="Check the signature of a reconciliation's report.")
@click.argument("reported", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--sign-with", "key", default=SIGNING_KEY, show_default=True, help="As it was signed."
)
@click.option("--region", required=True, help="The region of that key.")
@surroundings_options
@click.pass_context
def verify_command(
    context: click.Context, *, given: Given, reported: Path, key: str, region: str
) -> None:
    """Ask KMS whether the report in REPORTED is as it was signed. Exits with 1 when not."""
    content, text, signed = (_read(reported / name) for name in REPORT_FILES)
    signature = read_signature(signed)
    is_good = Signer(key, region, given.around.region(region).endpoint).check(content, signature)
    is_good = is_good and reports.is_of(content, text)
    click.echo(f"The report is {'as it was signed' if is_good else 'NOT as it was signed'}.")
    context.exit(0 if is_good else 1)


def _writer_url(around: Surroundings) -> str:
    """Return how to connect to the database of the region that holds the write lease."""
    lease = around.leases(around.asked()).call(Look())
    if not isinstance(lease, Lease):
        raise LeaseNotHeld("Nobody holds the write lease: name the new primary by --new.")
    return around.database(lease.region).url()


def _keep_volumes(around: Surroundings, new: str) -> None:
    """Copy what Aurora kept of the old volume, because that expires; a dead region has time."""
    old = around.region(around.deployment.other(new))
    try:
        for volume in keep_volumes(old.impatient(), around.deployment.database):
            if volume.is_new:
                click.echo(f"{volume.snapshot} expires: copied to {volume.copy}.", err=True)
    except EvertillError as failure:
        click.echo(f"Snapshots of the old volume were not looked for: {failure}", err=True)


def _location(text: str, around: Surroundings) -> Location:
    region, place = _pair(text, "REGION=LOCATION")
    around.deployment.other(region)
    store = open_store(place, around.region(region).endpoint, region)
    if isinstance(store, FolderStore) and not Path(place).is_dir():
        raise UsageError(f"There is no folder {place}.")
    return Location(f"{region} ({place})", store)


def _pair(text: str, form: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise UsageError(f"{text!r} is no {form}.")
    return name, value


@contextmanager
def _leave(around: Surroundings, region: str) -> Iterator[Callable[[], Permit]]:
    """Renew the region's lease beside its tasks; raise LeaseNotHeld when it does not hold it."""
    leases, speed = around.leases([region]), around.pace.speed
    # It renews what the region holds, and founds or takes nothing.
    keeper = Keeper(leases, region, may_found=lambda: False, speed=speed)
    keeper.start()
    try:
        until_s = monotonic() + LEASE_TIMEOUT_S
        while keeper.permit().remaining_s() <= 0:
            if monotonic() > until_s:
                raise LeaseNotHeld
            sleep(POLL_INTERVAL_S)
        yield keeper.permit
    finally:
        keeper.stop()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}.") from failure


def _write_proposal(findings: Findings, output: Path) -> Path:
    """Propose what is open, in a file of its own: one before may have been edited."""
    books = findings.books
    proposal = proposals.propose(findings.open, findings.at, books.old, books.new)
    path = output / f"proposal-{findings.at:%Y%m%dT%H%M%S%f}Z.json"
    proposals.write(proposal, path)
    return path


def _summary(report: reports.Document, proposal: Path | None) -> str:
    counts = [
        f"{name}: {found.same} in both, {found.only_old} only old, {found.only_new} only new"
        for name, found in (("events", report.events), ("payments", report.payments))
    ]
    counts += [f"open: {number} {name}" for name, number in report.sorts.items()]
    counts += [f"not done: {line}" for line in report.refused]
    if proposal is not None:
        counts.append(
            f"{report.unexplained} unexplained. Read and edit {proposal}, then run "
            "the same with --approve FILE --by NAME."
        )
    else:
        counts.append(
            "Nothing is unexplained."
            if report.explained
            else "The new books or the logs are NOT right: see report.md."
        )
    return "\n".join(counts)


commands: list[click.Command] = [reconcile_command, verify_command]

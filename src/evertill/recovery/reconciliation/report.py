"""What a reconciliation found and did, as JSON for programs and as Markdown for people.

The JSON holds the digest of the Markdown, so one signature covers both.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from evertill.domain import ids
from evertill.recovery.reconciliation.applying import Result
from evertill.recovery.reconciliation.differences import MEANINGS, Difference
from evertill.recovery.reconciliation.evidence import Counts, Position
from evertill.recovery.reconciliation.reconciling import Decision, Findings

LISTED_MAX: Final = 200


class LogLine(msgspec.Struct, frozen=True):
    """One region's log: whether it is whole, and what the lost region wrote last."""

    name: str
    whole: bool
    records: int
    tails: int
    breaks: int


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. `lost_amounts` are those of events that the new primary does not have."""

    made_at: datetime
    unexplained: int
    explained: bool
    old: Position
    new: Position
    parted_at: datetime | None
    last_common_transaction: int
    events: Counts
    payments: Counts
    sorts: dict[str, int]
    lost_amounts: dict[str, int]
    open: list[Difference]
    decided: list[Decision]
    refused: list[str]
    old_books: dict[str, int]
    new_books: dict[str, int]
    logs: list[LogLine]
    markdown_sha256: str = ""


def document(findings: Findings, results: Sequence[Result] = ()) -> Document:
    """Return the report of a look, and of what was applied just before it."""
    books = findings.books
    amounts: Counter[str] = Counter()
    for event in books.lost:
        payment = books.old_payments[event.payment_id].payment
        if event.type.removeprefix("payment.") in {"authorized", "captured"}:
            amounts[payment.currency] += payment.amount_minor
    return Document(
        made_at=findings.at,
        unexplained=len(findings.open),
        explained=findings.is_explained,
        old=books.old,
        new=books.new,
        parted_at=books.parted_at,
        last_common_transaction=books.last_common,
        events=books.events,
        payments=books.payments,
        sorts=dict(Counter(str(item.sort) for item in findings.open)),
        lost_amounts=dict(amounts),
        open=findings.open,
        decided=findings.decided,
        refused=[f"{item.item.subject}: {item.refused}" for item in results if item.refused],
        old_books=findings.old_health._asdict(),
        new_books=findings.new_health._asdict(),
        logs=[
            LogLine(name, found.whole, found.records, len(found.tails), len(found.breaks))
            for name, found in findings.logs.items()
        ],
    )


def render(report: Document) -> tuple[bytes, bytes]:
    """Return the report's JSON and its Markdown."""
    text = _markdown(report).encode()
    signed = msgspec.structs.replace(report, markdown_sha256=hashlib.sha256(text).hexdigest())
    return msgspec.json.format(msgspec.json.encode(signed), indent=2), text


def is_of(content: bytes, text: bytes) -> bool:
    """Tell whether a Markdown is the one that a JSON was written with."""
    try:
        report = msgspec.json.decode(content, type=Document)
    except msgspec.MsgspecError:
        return False
    return report.markdown_sha256 == hashlib.sha256(text).hexdigest()


def _markdown(report: Document) -> str:
    state = "Everything is explained." if report.explained else "**Not everything is explained.**"
    parted = report.parted_at.isoformat() if report.parted_at else "none"
    lines = [
        "# Reconciliation",
        "",
        f"{state} {report.made_at:%Y-%m-%d %H:%M:%S} UTC.",
        "",
        "| | old volume | new primary |",
        "|---|---|---|",
        f"| region | {report.old.region or '-'} | {report.new.region or '-'} |",
        f"| epoch | {report.old.epoch} | {report.new.epoch} |",
        f"| broken rules | {sum(report.old_books.values())} | {sum(report.new_books.values())} |",
        "",
        f"Last common transaction: {report.last_common_transaction}. First lost event: {parted}.",
        "",
        "| | same | only old | only new |",
        "|---|---:|---:|---:|",
        f"| events | {' | '.join(str(count) for count in report.events)} |",
        f"| payments | {' | '.join(str(count) for count in report.payments)} |",
        "",
    ]
    lines += [
        f"Log {found.name}: {'whole' if found.whole else f'BROKEN in {found.breaks} places'}, "
        f"{found.records} records read, {found.tails} tails."
        for found in report.logs
    ]
    lines += ["", *_open(report), *_refused(report), *_decided(report)]
    return "\n".join(lines).rstrip() + "\n"


def _open(report: Document) -> list[str]:
    if not report.open:
        return ["## Open", "", "Nothing.", ""]
    lines = [
        "## Open",
        "",
        "| sort | what | old | new | proposed | why |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {item.sort} | {item.kind} {item.subject} | {_cell(item.old)} | {_cell(item.new)} "
        f"| {item.proposal} | {_cell(' '.join(item.reasons))} |"
        for item in report.open[:LISTED_MAX]
    ]
    if len(report.open) > LISTED_MAX:
        lines.append(f"\n{len(report.open) - LISTED_MAX} more are in the JSON.")
    return [*lines, ""]


def _refused(report: Document) -> list[str]:
    if not report.refused:
        return []
    return ["## Not done", "", *(f"- {_cell(line)}" for line in report.refused[:LISTED_MAX]), ""]


def _decided(report: Document) -> list[str]:
    if not report.decided:
        return []
    counts = Counter(str(item.decision) for item in report.decided)
    lines = ["## Done", ""]
    lines += [
        f"- {choice}: {counts[choice]} ({meaning})"
        for choice, meaning in MEANINGS.items()
        if counts[choice]
    ]
    lines += ["", "| at | what | decision | by | epoch |", "|---|---|---|---|---:|"]
    lines += [
        f"| {item.at:%Y-%m-%d %H:%M:%S} | {item.subject}{_event(item)} | {item.decision} "
        f"| {_cell(item.approved_by)} | {item.epoch} |"
        for item in report.decided[:LISTED_MAX]
    ]
    if len(report.decided) > LISTED_MAX:
        lines.append(f"\n{len(report.decided) - LISTED_MAX} more are in the JSON.")
    return [*lines, ""]


def _event(item: Decision) -> str:
    return f" {ids.EVENT}{item.step}" if item.decision == "replay" else ""


def _cell(text: str) -> str:
    """Return text that stays in its cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")

"""A report as a table for people, 80 columns wide.

It is separate from the report, which programs read.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from evertill.drill.report import Report

WIDTH: Final = 80
NAME_WIDTH: Final = 26
SHOWN_MAX: Final = 12
COLUMNS: Final = (
    "drill",
    "day",
    "verdict",
    "RTO s",
    "back to 99 % s",
    "by cached DNS s",
    "longest gap s",
    "lost",
    "duplicates",
    "dual writer ms",
    "p99 ms before, during, after",
)
NOT_MODELLED: Final = "What AWS adds that the twin does not model"
# Figures that are not numbers, or are shown in rows of their own.
APART: Final = {"rto_parts", "latencies", "alarms", "lost_amounts"}


def table(report: Report) -> str:
    """Return the whole report for people."""
    verdict = "passed" if report.is_passed else "FAILED"
    head = f"{report.title}: {verdict}"
    lines = [head, f"drill {report.drill}, speed {report.speed:g}, seed {report.seed}", ""]
    lines += _figures(report)
    lines += _rows("recovery", report.figures["rto_parts"])
    lines += _latencies(report.figures["latencies"])
    lines += _rows("alarm after", report.figures["alarms"])
    lines += _rows("lost (minor units)", report.figures["lost_amounts"])
    failed = [f"Broken bound: {each.sentence}." for each in report.broken]
    failed += [f"Violated {each}." for each in report.violations]
    failed += [report.failure] if report.failure else []
    lines += ["", *_sentences(failed)] if failed else []
    if report.aws_adds:
        lines += ["", f"{NOT_MODELLED}:", *_sentences(report.aws_adds)]
    return "\n".join(lines)


def markdown(reports: Iterable[Report]) -> str:
    """Return a table of reports for the reference, one row each."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    machines = dict[str, None]()
    for report in reports:
        machines[report.machine] = None
        lines.append(_row(report))
    return "\n".join([*lines, "", *(f"Machine: {machine}." for machine in machines)])


def _row(report: Report) -> str:
    found = report.figures
    names = ("rto_s", "rto_99_s", "rto_99_public_s", "longest_gap_s", "lost", "duplicates")
    cells = [_bounded(report, name) for name in (*names, "dual_writer_ms")]
    tails = [found["latencies"][part] for part in ("before", "during", "after")]
    told = ", ".join(f"{part['p99_ms']:.0f}" if part["count"] else "-" for part in tails)
    verdict = "passed" if report.is_passed else "failed"
    name, day = report.drill, report.began_at.partition("T")[0]
    return (
        f"| [{name}](../../drills/{name}.toml) | {day} | {verdict} | {' | '.join(cells)} | {told} |"
    )


def _bounded(report: Report, name: str) -> str:
    """Return a figure, and its bound where it has one."""
    value = report.figures.get(name)
    told = f"{value:.1f}" if isinstance(value, float) else _number(value)
    bound = report.bounds.get(name)
    return told if bound is None else f"{told} (<= {bound:g})"


def _figures(report: Report) -> Iterator[str]:
    for name, value in report.figures.items():
        if name in APART:
            continue
        bound = report.bounds.get(name)
        told = "" if bound is None else f"   bound {bound:g}"
        yield f"  {name:<{NAME_WIDTH}} {_number(value):>12}{told}"


def _rows(name: str, values: Mapping[str, float]) -> Iterator[str]:
    for each, value in list(values.items())[:SHOWN_MAX]:
        yield f"  {f'{name} {each}'[: WIDTH - 16]:<{WIDTH - 16}} {_number(value):>10}"
    if len(values) > SHOWN_MAX:
        yield f"  and {len(values) - SHOWN_MAX} more"


def _latencies(latencies: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for part, found in latencies.items():
        if found["count"]:
            yield (
                f"  {f'latency {part}':<{NAME_WIDTH}} {found['count']:>8} payments   "
                f"p50 {found['p50_ms']:.0f} ms   p99 {found['p99_ms']:.0f} ms"
            )


def _sentences(sentences: list[str]) -> Iterator[str]:
    for sentence in sentences[:SHOWN_MAX]:
        yield from textwrap.wrap(sentence, WIDTH - 2, initial_indent="- ", subsequent_indent="  ")
    if len(sentences) > SHOWN_MAX:
        yield f"  and {len(sentences) - SHOWN_MAX} more"


def _number(value: Any) -> str:  # noqa: ANN401 - a figure is a number or nothing
    if value is None:
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

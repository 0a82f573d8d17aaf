"""The figures as text, as JSON and as the table of docs/reference/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import bounds

STATE: Final = Path(__file__).parents[1] / ".evertill"

_OTHER_MODES: Final = frozenset({"large_pps", "large_slowdown", "guards_us"})

_ROWS: Final = (
    ("A", "natural_tps", "one payment per transaction, textbook tables"),
    ("A*", "own_natural_tps", "the same on Evertill's tables"),
    ("B", "function_tps", "one function call per payment, textbook tables"),
    ("B*", "own_function_tps", "the same on Evertill's tables"),
    ("C", "http_pps", "payments over HTTP, one per request"),
    ("D", "batch_pps", "payments over HTTP, 1000 per request"),
    ("A hot", "natural_hot_tps", "A with one merchant"),
    ("B hot", "function_hot_tps", "B with one merchant"),
    ("E", "hot_http_pps", "C with one merchant"),
)


class Verdict(NamedTuple):
    """One figure beside its target."""

    name: str
    value: float
    target: str
    passed: bool


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    """Return the ratios that this run has figures for, each with its target."""
    found = []
    for target in bounds.TARGETS:
        if target.figure in results and target.base in results:
            ratio = round(results[target.figure] / results[target.base], 2)
            found.append(Verdict(target.name, ratio, f">= {target.least:g}", ratio >= target.least))
    if "p99_half_load_ms" in results:
        p99_ms, most = results["p99_half_load_ms"], bounds.P99_HALF_LOAD_MS_MAX
        found.append(Verdict("p99 at half load, ms", p99_ms, f"< {most:g}", p99_ms < most))
    if "large_slowdown" in results:
        slowdown, most = results["large_slowdown"], bounds.LARGE_SLOWDOWN_MAX
        found.append(Verdict("slower at 10 million", slowdown, f"< {most:g}", slowdown < most))
    return found


def as_text(results: dict[str, Any]) -> str:
    """Return the figures and the ratios as lines."""
    lines = [
        f"{letter:6} {results[name]:>9,.0f} per s  {words}"
        for letter, name, words in _ROWS
        if name in results
    ]
    for size, rates in results.get("large_pps", {}).items():
        each = ", ".join(f"{rate:,.0f}" for rate in rates)
        lines.append(f"C at {int(size):,} payments: {each} per s")
    lines += [f"{name:18} {us:7.2f} us" for name, us in results.get("guards_us", {}).items()]
    lines += [
        f"{'PASS' if verdict.passed else 'FAIL'}  {verdict.name} = {verdict.value:g} "
        f"({verdict.target})"
        for verdict in verdicts(results)
    ]
    return "\n".join(lines)


def as_json(results: dict[str, Any]) -> str:
    """Return the figures and the verdicts as JSON."""
    ratios = {
        verdict.name: {"value": verdict.value, "target": verdict.target, "passed": verdict.passed}
        for verdict in verdicts(results)
    }
    return json.dumps(results | {"ratios": ratios}, indent=2)


def as_table(results: dict[str, Any]) -> str:
    """Return the figures as the tables of docs/reference/performance.md."""
    found = results["machine"]
    lines = [
        _describe(found, results["seed"]),
        "",
        "| | what | per second | p50 ms | p99 ms |",
        "|---|---|---:|---:|---:|",
        *(_table_row(results, *row) for row in _ROWS if row[1] in results),
        "",
        "| ratio | value | target | |",
        "|---|---:|---:|---|",
    ]
    for verdict in verdicts(results):
        word = "reached" if verdict.passed else "missed"
        lines.append(f"| {verdict.name} | {verdict.value:g} | {verdict.target} | {word} |")
    lines += _table_of_processor_time(results) + _table_of_guards(results)
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any], state: Path = STATE) -> dict[str, Any]:
    """Keep the figures where scripts look for them, and return all that is kept.

    Figures that are compared come from one run, always; what the other modes found stays beside.
    """
    state.mkdir(exist_ok=True)
    file = state / "bench.json"
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    if not _OTHER_MODES.isdisjoint(results):
        everything = {**kept, **results}
    else:
        everything = {name: kept[name] for name in _OTHER_MODES if name in kept} | results
    file.write_text(as_json(everything) + "\n")
    return everything


def _describe(found: dict[str, Any], seed: int) -> str:
    return (
        f"Measured on {found['date']}: {found['cpu']}, {found['cores']} cores, "
        f"{found['memory_gib']} GiB, {found['kernel']}, Python {found['python']}, "
        f"PostgreSQL {found['postgresql']}, seed {seed}."
    )


def _table_row(results: dict[str, Any], letter: str, name: str, words: str) -> str:
    prefix = name.removesuffix("_pps")
    p50_ms, p99_ms = (results.get(f"{each}_{prefix}_ms", "") for each in ("p50", "p99"))
    return f"| {letter} | {words} | {results[name]:,.0f} | {p50_ms} | {p99_ms} |"


def _table_of_processor_time(results: dict[str, Any]) -> list[str]:
    rows = [
        f"| {letter} | {usage['load_us']} | {usage['service_us']} | {usage['postgres_us']} |"
        for letter, name in (("C", "http"), ("D", "batch"), ("E", "hot_http"))
        if (usage := results.get(f"{name}_cpu"))
    ]
    head = ["", "| us per payment | load | service | PostgreSQL |", "|---|---:|---:|---:|"]
    return head + rows if rows else []


def _table_of_guards(results: dict[str, Any]) -> list[str]:
    guards = results.get("guards_us", {})
    head = ["", "| statement | us per payment |", "|---|---:|"]
    return head + [f"| {name} | {us} |" for name, us in guards.items()] if guards else []

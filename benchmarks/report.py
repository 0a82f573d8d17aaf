"""The figures as text, as JSON and as the table of docs/reference/performance.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import bounds

STATE: Final = Path(__file__).parents[1] / ".evertill"

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
            found.append(
                Verdict(target.name, ratio, f">= {target.least:g}", ratio >= target.least)
            )
    if "p99_half_load_ms" in results:
        p99_ms, most = results["p99_half_load_ms"], bounds.P99_HALF_LOAD_MS_MAX
        found.append(Verdict("p99 at half load, ms", p99_ms, f"< {most:g}", p99_ms < most))
    return found


def as_text(results: dict[str, Any]) -> str:
    """Return the figures and the ratios as lines."""
    lines = [
        f"{letter:6} {results[name]:>9,.0f} per s  {words}"
        for letter, name, words in _ROWS
        if name in results
    ]
    lines += [
        f"{'PASS' if verdict.passed else 'FAIL'}  {verdict.name} = {verdict.value:g} "
        f"({verdict.target})"
        for verdict in verdicts(results)
    ]
    return "\n".join(lines)


def as_json(results: dict[str, Any]) -> str:
    """Return the figures and the verdicts as JSON."""
    ratios = {v.name: {"value": v.value, "target": v.target, "passed": v.passed}
              for v in verdicts(results)}
    return json.dumps(results | {"ratios": ratios}, indent=2)


def write(results: dict[str, Any]) -> None:
    """Keep the figures where scripts look for them."""
    STATE.mkdir(exist_ok=True)
    (STATE / "bench.json").write_text(as_json(results) + "\n")

"""One run: every figure on one machine, one after the other, against one PostgreSQL."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from benchmarks import baselines, bounds, databases, machine, scenarios, workload
from benchmarks.progress import say
from evertill.quickstart import Cluster


class Run(NamedTuple):
    """What is measured, how much of it, and on what."""

    cluster: Cluster
    scale: bounds.Scale
    seed: int
    only: str


def run(scale: bounds.Scale, seed: int, only: str = "ABCDE") -> dict[str, Any]:
    """Measure what `only` names and return the figures by their names."""
    with databases.temporary_cluster() as cluster:
        settings = databases.read_settings(cluster)
        say(", ".join(f"{name}={value}" for name, value in settings.items()))
        results: dict[str, Any] = {"machine": machine.describe(settings), "seed": seed}
        current = Run(cluster, scale, seed, only)
        merchants = _prepare(current)
        results |= _measure_baselines(current) | _measure_service(current, merchants)
    return results


def _prepare(run: Run) -> list[databases.Merchant]:
    payments = run.scale.prefilled
    say(f"filling two databases with {payments:,} payments of {bounds.MERCHANTS:,} merchants")
    databases.create_natural(run.cluster, payments)
    merchants = databases.create_own(
        run.cluster, "own_template", workload.api_keys(run.seed), workload.regulars(run.seed)
    )
    address = databases.url(run.cluster, "own_template")
    databases.prefill(address, payments, part=(1, 1), days=databases.PREFILL_DAYS)
    databases.settle(address)
    return merchants


def _measure_baselines(run: Run) -> dict[str, Any]:
    databases.create(run.cluster, "own", template="own_template")
    results = {
        baseline.figure: baselines.measure(run.cluster, baseline, run.scale, run.seed)
        for baseline in baselines.BASELINES
        if baseline.letter in run.only
    }
    databases.drop(run.cluster, "own")
    databases.drop(run.cluster, "natural")
    return results


def _measure_service(run: Run, merchants: list[databases.Merchant]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    scale, begin = run.scale, partial(scenarios.session, run.cluster, merchants)
    if "C" in run.only:
        with begin(scale, run.seed) as current:
            http = scenarios.measure_http(current, scale)
            half = scenarios.measure_half_load(current, scale, http.pps)
        results |= _named("http", http) | _named("half_load", half)
    if "E" in run.only:
        with begin(scale, run.seed) as current:
            results |= _named("hot_http", scenarios.measure_http(current, scale, hot=True))
    if "D" in run.only:
        with begin(scale, run.seed) as current:
            results |= _named("batch", scenarios.measure_batches(current, scale))
    return results


def _named(name: str, figure: scenarios.Figure) -> dict[str, Any]:
    return {
        f"{name}_pps": figure.pps,
        f"p50_{name}_ms": figure.p50_ms,
        f"p99_{name}_ms": figure.p99_ms,
        f"{name}_in_flight": figure.in_flight,
        f"{name}_cpu": figure.usage._asdict(),
    }

"""One run: every figure on one machine, one after the other, against one PostgreSQL."""

from __future__ import annotations

from typing import Any

from benchmarks import baselines, bounds, databases, machine, scenarios, workload
from benchmarks.progress import say
from evertill.quickstart import Cluster


def run(scale: bounds.Scale, seed: int, only: str = "ABCDE") -> dict[str, Any]:
    """Measure what `only` names and return the figures by their names."""
    with databases.temporary_cluster() as cluster:
        settings = databases.read_settings(cluster)
        say(", ".join(f"{name}={value}" for name, value in settings.items()))
        results: dict[str, Any] = {"machine": machine.describe(settings), "seed": seed}
        merchants = _prepare(cluster, scale, seed)
        _measure_baselines(cluster, scale, seed, only, results)
        _measure_service(cluster, merchants, scale, seed, only, results)
    return results


def _prepare(cluster: Cluster, scale: bounds.Scale, seed: int) -> list[databases.Merchant]:
    say(f"filling two databases with {scale.prefilled:,} payments of {bounds.MERCHANTS:,} merchants")
    databases.create_natural(cluster, scale.prefilled)
    merchants = databases.create_own(
        cluster, "own_template", workload.api_keys(seed), workload.regulars(seed)
    )
    address = databases.url(cluster, "own_template")
    databases.prefill(address, scale.prefilled, part=(0, 1), days=databases.PREFILL_DAYS)
    databases.settle(address)
    return merchants


def _measure_baselines(
    cluster: Cluster, scale: bounds.Scale, seed: int, only: str, results: dict[str, Any]
) -> None:
    databases.create(cluster, "own", template="own_template")
    for baseline in baselines.BASELINES:
        if baseline.letter in only:
            results[baseline.figure] = baselines.measure(cluster, baseline, scale, seed)
    databases.drop(cluster, "own")
    databases.drop(cluster, "natural")


def _measure_service(
    cluster: Cluster,
    merchants: list[databases.Merchant],
    scale: bounds.Scale,
    seed: int,
    only: str,
    results: dict[str, Any],
) -> None:
    if "C" in only:
        with scenarios.session(cluster, merchants, scale, seed) as current:
            http = scenarios.measure_http(current, scale)
            half = scenarios.measure_half_load(current, scale, http.pps)
        results |= _named("http", http) | _named("half_load", half)
    if "E" in only:
        with scenarios.session(cluster, merchants, scale, seed) as current:
            results |= _named("hot_http", scenarios.measure_http(current, scale, hot=True))
    if "D" in only:
        with scenarios.session(cluster, merchants, scale, seed) as current:
            results |= _named("batch", scenarios.measure_batches(current, scale))


def _named(name: str, figure: scenarios.Figure) -> dict[str, Any]:
    return {
        f"{name}_pps": figure.pps,
        f"p50_{name}_ms": figure.p50_ms,
        f"p99_{name}_ms": figure.p99_ms,
        f"{name}_in_flight": figure.in_flight,
        f"{name}_cpu": figure.usage._asdict(),
    }

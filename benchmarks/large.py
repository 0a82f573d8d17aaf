"""C at 1 million and at 10 million existing payments, alternating, so that drift meets both."""

from __future__ import annotations

import shutil
import statistics
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import bounds, checker, databases, machine, scenarios, service, workload
from benchmarks.load import Plan
from benchmarks.progress import say
from evertill.quickstart import Cluster


class DiskTooSmall(Exception):
    """There is not enough free disk space for the large databases."""


def run(scale: bounds.Scale, seed: int) -> dict[str, Any]:
    """Fill two databases, measure C on them in turn, and return the rates and their ratio."""
    with databases.temporary_cluster() as cluster:
        _require_space(cluster.data_directory, scale.large_payments)
        settings = databases.read_settings(cluster)
        results: dict[str, Any] = {"machine": machine.describe(settings), "seed": seed}
        merchants = {payments: _fill(cluster, payments, seed) for payments in scale.large_payments}
        rates = _alternate(cluster, merchants, scale, seed)
        small, large = (statistics.median(rates[size]) for size in scale.large_payments)
        results["large_pps"] = {str(size): rates[size] for size in scale.large_payments}
        results["large_slowdown"] = round(1 - large / small, 3)
    return results


def _require_space(where: Path, sizes: tuple[int, ...]) -> None:
    free = shutil.disk_usage(where).free
    need = sum(sizes) * bounds.BYTES_PER_PAYMENT + bounds.FREE_RESERVE_BYTES
    if free < need:
        raise DiskTooSmall(
            f"The large benchmark needs {need / 2**30:.0f} GiB of free disk space below {where}, "
            f"and there are {free / 2**30:.0f} GiB; set TMPDIR to a larger disk."
        )


def _fill(cluster: Cluster, payments: int, seed: int) -> list[databases.Merchant]:
    name = _name(payments)
    merchants = databases.create_own(
        cluster, name, workload.api_keys(seed), workload.regulars(seed)
    )
    address = databases.url(cluster, name)
    parts = payments // bounds.LARGE_CHUNK
    # Two connections fill alternate parts, as there are two processors.
    threads = [
        threading.Thread(target=_fill_parts, args=(address, payments, first, parts))
        for first in range(bounds.WORKERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(f"{name}: vacuuming and analyzing")
    databases.settle(address)
    return merchants


def _fill_parts(address: str, payments: int, first: int, parts: int) -> None:
    for number in range(first, parts, bounds.WORKERS):
        databases.prefill(
            address, bounds.LARGE_CHUNK, part=(number + 1, parts), days=bounds.LARGE_DAYS
        )
        done = (number + 1) * bounds.LARGE_CHUNK
        if done % (payments // 10) == 0:
            say(f"{_name(payments)}: {done:,} of {payments:,} payments")


def _alternate(
    cluster: Cluster,
    merchants: dict[int, list[databases.Merchant]],
    scale: bounds.Scale,
    seed: int,
) -> dict[int, list[float]]:
    rates: dict[int, list[float]] = {size: [] for size in merchants}
    plan = Plan(scale.connections[-1], scale.warm_up_s, scale.measure_s)
    with ExitStack() as stack:
        sessions = {}
        for size, known in merchants.items():
            address = databases.url(cluster, _name(size))
            running = stack.enter_context(service.running(address))
            making = workload.Workload(seed, known)
            sessions[size] = scenarios.Session(cluster, running, making)
            sessions[size].warm_up(scale.warm_up_rounds)
        for number in range(scale.large_rounds):
            for size, current in sessions.items():
                prepared = current.workload.payments(scenarios.requests_for(scale))
                figure = current.run(prepared, plan)
                rates[size].append(figure.pps)
                scenarios.tell(f"round {number + 1}, C at {size:,} payments", figure)
    for size, current in sessions.items():
        say(f"{_name(size)}: checking")
        checker.check(databases.url(cluster, _name(size)), current.acknowledged, size)
    return rates


def _name(payments: int) -> str:
    return f"payments_{payments}"

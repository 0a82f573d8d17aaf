"""The baselines: one payment per transaction, measured by pgbench."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Final, NamedTuple
from zlib import crc32

from benchmarks import bounds, databases
from benchmarks.progress import say
from evertill.quickstart import Cluster
from evertill.quickstart.options import SUPERUSER

_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED: Final = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)


class BaselineFailed(Exception):
    """pgbench did not run to its end."""


class Baseline(NamedTuple):
    """One script for pgbench and the database that it runs on."""

    letter: str
    figure: str
    script: str
    database: str
    merchants: int = bounds.MERCHANTS
    currencies: int = len(bounds.CURRENCIES)


BASELINES: Final = (
    Baseline("A", "natural_tps", "natural_payment", "natural"),
    Baseline("B", "function_tps", "natural_call", "natural"),
    Baseline("A", "natural_hot_tps", "natural_payment", "natural", 1, 1),
    Baseline("B", "function_hot_tps", "natural_call", "natural", 1, 1),
    Baseline("A", "own_natural_tps", "own_payment", "own"),
    Baseline("B", "own_function_tps", "own_call", "own"),
)


def measure(cluster: Cluster, baseline: Baseline, scale: bounds.Scale, seed: int) -> float:
    """Return the best rate over the numbers of clients; each run starts from rest."""
    rates = []
    for clients in scale.clients:
        databases.settle(databases.url(cluster, baseline.database))
        rates.append(_run(cluster, baseline, clients, scale.pgbench_s, seed))
        say(f"{baseline.figure} with {clients} clients: {rates[-1]:,.0f} per s")
    return max(rates)


def _run(cluster: Cluster, baseline: Baseline, clients: int, seconds: int, seed: int) -> float:
    done = subprocess.run(
        [
            str(cluster.program("pgbench")),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={clients}",
            f"--jobs={min(clients, os.cpu_count() or 1)}",
            f"--time={seconds}",
            f"--random-seed={_seed(baseline, clients, seed)}",
            f"--define=merchants={baseline.merchants}",
            f"--define=currencies={baseline.currencies}",
            f"--file={databases.script(baseline.script)}",
        ],
        env=_environment(cluster, baseline.database),
        capture_output=True,
        text=True,
        timeout=seconds + bounds.PGBENCH_GRACE_S,
        check=False,
    )
    rate, failed = _TPS.search(done.stdout), _FAILED.search(done.stdout)
    if done.returncode != 0 or rate is None or failed is None or int(failed[1]) > 0:
        said = f"{done.stdout.strip()[-300:]} {done.stderr.strip()[-500:]}"
        raise BaselineFailed(
            f"pgbench failed on {baseline.script} with exit status {done.returncode}: {said}"
        )
    return float(rate[1])


def _seed(baseline: Baseline, clients: int, seed: int) -> int:
    """Return a seed of its own for each run, because two runs may not draw the same keys."""
    return crc32(f"{seed} {clients} {baseline.figure}".encode())


def _environment(cluster: Cluster, database: str) -> dict[str, str]:
    """Return how pgbench connects; an argument would show the password to everybody."""
    return os.environ | {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": cluster.password,
        "PGDATABASE": database,
    }

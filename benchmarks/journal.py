"""What the transaction log costs the payments, how far it lags, and how fast it catches up.

The validation function, which writes to the same log, is measured last, by `benchmarks.validation`.
It is a program of its own because it compares the service with itself, with and without its relay,
and not with pgbench. Rounds alternate, so that a machine that slows down does so for both. The log
goes to a folder: the relay's own work and an fsync for each object, and no emulator on the cores.
Every log is verified before there is a figure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from scripts.validation_asset import AssetError

from benchmarks import bounds, databases, hooks, scenarios, service, validation, workload
from benchmarks.load import Plan
from benchmarks.progress import say
from evertill.journal.records import read_record, unpack
from evertill.journal.stores import FolderStore
from evertill.journal.verify import Log, verify
from evertill.quickstart import Cluster

STATE: Final = Path(".evertill/bench-journal.json")
ROUNDS: Final = 2
CONNECTIONS: Final = 512
DRAIN_TIMEOUT_S: Final = 120.0
PRICE_SHARE_MAX: Final = 0.15
WAITING: Final = b"SELECT EXISTS (SELECT FROM evertill.outbox WHERE pending & 1 <> 0)"


class LogWrong(Exception):
    """The log is not whole, or not complete, so there is no figure."""


class Bench(NamedTuple):
    """What is measured, how much of it, and on what."""

    cluster: Cluster
    scale: bounds.Scale
    seed: int
    merchants: list[databases.Merchant]
    folder: Path

    @property
    def address(self) -> str:
        """The database that is measured at the moment."""
        return databases.url(self.cluster, scenarios.MEASURED)


def run(scale: bounds.Scale, seed: int) -> dict[str, Any]:
    """Measure and return the figures by their names."""
    without, beside, drained, webhooks, lags_ms = [], [], [], [], []
    folder = Path(tempfile.mkdtemp(prefix="evertill-bench-log-"))
    try:
        with databases.temporary_cluster() as cluster:
            bench = Bench(cluster, scale, seed, _prepare(cluster, scale, seed), folder)
            for number in range(ROUNDS):
                pps, rps, told = _measure_without(bench, folder / f"drained-{number}")
                webhooks.append(told)
                without.append(pps)
                drained.append(rps)
                pps, lags = _measure_beside(bench, folder / f"beside-{number}")
                beside.append(pps)
                lags_ms += lags
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lags_ms.sort()
    return {
        "payment_pps": statistics.median(without),
        "payment_pps_with_relay": statistics.median(beside),
        "relay_rps": statistics.median(drained),
        "log_lag_p50_ms": scenarios.percentile(lags_ms, 0.50),
        "log_lag_p99_ms": scenarios.percentile(lags_ms, 0.99),
        "webhooks_per_s": statistics.median(webhooks),
    }


def _prepare(cluster: Cluster, scale: bounds.Scale, seed: int) -> list[databases.Merchant]:
    say(f"filling a database with {scale.prefilled:,} payments")
    merchants = databases.create_own(
        cluster, "own_template", workload.api_keys(seed), workload.regulars(seed)
    )
    address = databases.url(cluster, "own_template")
    databases.prefill(address, scale.prefilled, part=(1, 1), days=databases.PREFILL_DAYS)
    databases.settle(address)
    return merchants


def _measure_without(bench: Bench, folder: Path) -> tuple[float, float, float]:
    """Return payments/s without a log, records/s of a relay that then catches up, webhooks/s."""
    with scenarios.session(
        bench.cluster, bench.merchants, bench.scale, bench.seed, webhooks_private=True
    ) as current:
        pps = _load(bench, current)
        webhooks_per_s = hooks.measure(bench.address)
        with service.running(bench.address, log_folder=str(folder)):
            _wait_until_drained(bench.address)
        records, seconds = _check(bench, folder), _seconds(folder)
    say(f"without relay {pps:,.0f} payments per s; then {records:,} records in {seconds:.1f} s")
    return pps, round(records / seconds, 1), webhooks_per_s


def _measure_beside(bench: Bench, folder: Path) -> tuple[float, list[float]]:
    """Return payments/s beside a relay, and the lag of each record of the log in ms."""
    settings = {"log_folder": str(folder)}
    with scenarios.session(
        bench.cluster, bench.merchants, bench.scale, bench.seed, **settings
    ) as current:
        pps = _load(bench, current)
        _wait_until_drained(bench.address)
        _check(bench, folder)
    lags = _lags_ms(folder)
    say(f"beside the relay {pps:,.0f} payments per s, {len(lags):,} records in the log")
    return pps, lags


def _load(bench: Bench, current: scenarios.Session) -> float:
    scale = bench.scale
    connections = min(CONNECTIONS, scale.connections[-1])
    plan = Plan(connections, scale.warm_up_s, scale.measure_s)
    figure = current.run(current.workload.payments(scenarios.requests_for(scale)), plan)
    return figure.pps


def _wait_until_drained(address: str) -> None:
    deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
    with psycopg.connect(address, autocommit=True) as connection:
        while connection.execute(WAITING).fetchone() == (True,):
            if time.monotonic() > deadline_s:
                raise LogWrong("The relay did not catch up in time.")
            time.sleep(bounds.WAIT_INTERVAL_S)


def _check(bench: Bench, folder: Path) -> int:
    """Return the number of records of a log that must be whole and hold every new event."""
    report = verify(FolderStore(folder))
    with psycopg.connect(bench.address) as connection:
        # What was prefilled never went through the outbox.
        row = connection.execute(b"SELECT count(*) FROM evertill.events").fetchone()
    events = row[0] - bench.scale.prefilled if row else -1
    if report.breaks or report.records - report.repeated != events:
        raise LogWrong(f"{report.records} records, {events} events, {report.breaks[:3]}")
    return report.records


def _seconds(folder: Path) -> float:
    """Return the time from the first claim to the end of the last object on disk."""
    store = FolderStore(folder)
    sealed_at, stored_at = [], []
    for key in store.keys():  # noqa: SIM118 - a store is no dictionary
        sealed_at.append(datetime.fromisoformat(unpack(store.get(key))[0].sealed_at))
        stored_at.append((folder / key).stat().st_mtime)
    return max(stored_at) - min(sealed_at).timestamp()


def _lags_ms(folder: Path) -> list[float]:
    """Return, for every record, the time from its commit to its object's end on disk."""
    store = FolderStore(folder)
    lags: list[float] = []
    for places in Log(store).in_order():
        for place in places:
            stored_at = datetime.fromtimestamp((folder / place.key).stat().st_mtime, UTC)
            _, lines = unpack(store.get(place.key))
            lags += [(stored_at - read_record(x).created_at).total_seconds() * 1e3 for x in lines]
    return lags


def write(figures: dict[str, Any], state: Path) -> None:
    """Keep the figures, beside those that another program has measured."""
    kept = json.loads(state.read_text()) if state.exists() else {}
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps(kept | figures, indent=2) + "\n")


def _as_text(figures: dict[str, Any]) -> str:
    price = 1 - figures["payment_pps_with_relay"] / figures["payment_pps"]
    keeps_up = figures["relay_rps"] / figures["payment_pps"]
    lines = [f"{name:24} {value:>12,.1f}" for name, value in figures.items()]
    verdict = "met" if price < PRICE_SHARE_MAX else "MISSED"
    lines.append(f"the relay takes {price:.1%} of the payments away ({verdict}: below 15 %)")
    verdict = "met" if keeps_up >= 1 else "MISSED"
    lines.append(f"catching up, it moves {keeps_up:.1f} times the payment rate ({verdict}: 1)")
    return "\n".join(lines)


def main() -> int:
    """Measure, print and keep the figures; return 1 when there are none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; figures mean little")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--state", type=Path, default=STATE, help="where to keep the figures")
    parser.add_argument("--seed", type=int, default=1, help="of the workload (default 1)")
    arguments = parser.parse_args()
    # Ended from outside, it still stops what it started and deletes what it wrote.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        figures = run(bounds.QUICK if arguments.quick else bounds.FULL, arguments.seed)
        say("starting the validation function, cold and warm")
        figures |= validation.measure()
    except (
        AssetError,
        LogWrong,
        databases.NotDurable,
        hooks.NotDelivered,
        scenarios.Refused,
        service.ServiceFailed,
    ) as failure:
        print(f"no figures: {str(failure) or type(failure).__doc__}", file=sys.stderr)
        return 1
    write(figures | {"quick": arguments.quick}, arguments.state)
    print(json.dumps(figures) if arguments.json else _as_text(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The benchmarks run, check what they measured, and notice a database that lost a payment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from benchmarks.checker import Acknowledged, Violated

from benchmarks import checker, databases, workload
from evertill.quickstart import Cluster

REPOSITORY = Path(__file__).parents[2]
PAYMENTS = 500


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with databases.temporary_cluster() as running:
        yield running


@pytest.fixture
def address(cluster: Cluster) -> Iterator[str]:
    """Give a database with payments that the checker has nothing against."""
    name = f"scratch_{uuid4().hex[:8]}"
    databases.create_own(cluster, name, workload.api_keys(1), workload.regulars(1))
    filled = databases.url(cluster, name)
    databases.prefill(filled, PAYMENTS, part=(1, 1), days=1)
    yield filled
    databases.drop(cluster, name)


def test_a_quick_run_writes_every_figure_after_its_checks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", "--state", str(tmp_path)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("checked: ") == 3
    figures = json.loads((tmp_path / "bench.json").read_text())
    assert figures == json.loads(done.stdout)
    for name in ("natural_tps", "function_tps", "http_pps", "batch_pps", "hot_http_pps"):
        assert figures[name] > 0
    for name in ("http", "hot_http", "half_load"):
        assert 0 < figures[f"p50_{name}_ms"] <= figures[f"p99_{name}_ms"]


def test_a_good_database_passes(address: str) -> None:
    assert checker.violations(address, _stored(address), 0) == []


def test_a_missing_payment_is_noticed(address: str) -> None:
    told = _stored(address)
    _break(
        address,
        "DELETE FROM payments WHERE payment_id = (SELECT min(payment_id::text)::uuid"
        " FROM payments)",
    )
    with pytest.raises(Violated, match="An acknowledged payment is missing"):
        checker.check(address, told, 0)


def test_a_payment_that_nobody_sent_is_noticed(address: str) -> None:
    with pytest.raises(Violated, match="nobody was told of"):
        checker.check(address, _stored(address)[1:], 0)


def test_an_answer_under_another_key_is_noticed(address: str) -> None:
    first, second, *rest = _stored(address)
    swapped = [
        first._replace(key_digest=second.key_digest),
        second._replace(key_digest=first.key_digest),
        *rest,
    ]
    with pytest.raises(Violated, match="stored under another key"):
        checker.check(address, swapped, 0)


def test_a_balance_that_is_not_its_entries_is_noticed(address: str) -> None:
    told = _stored(address)
    _break(address, "UPDATE balances SET fees = fees + 1, merchant_pending = merchant_pending - 1")
    with pytest.raises(Violated, match="not the sum of its entries"):
        checker.check(address, told, 0)


def _stored(address: str) -> list[Acknowledged]:
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT key_digest, payment_id FROM evertill.events").fetchall()
    return [Acknowledged(row[0].bytes, row[1].bytes) for row in rows]


def _break(address: str, statement: str) -> None:
    """Do as the owner what no service could."""
    with psycopg.connect(address, options="-c search_path=evertill") as connection:
        assert connection.execute(statement.encode()).rowcount > 0

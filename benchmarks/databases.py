"""The one PostgreSQL that everything is measured on: a temporary cluster and its databases.

It is separate because every figure rests on it: the settings are those that `make up` runs with,
durability is read back from the server, and nothing is left on the disk afterwards.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from benchmarks import bounds
from benchmarks.progress import say
from evertill.domain.rules import MerchantTerms, source_key
from evertill.quickstart import Cluster
from evertill.storage import directory
from evertill.storage.migrate import migrate
from evertill.storage.statements import STATEMENTS

DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")
SHOWN: Final = (*DURABLE, "server_version", "shared_buffers", "max_wal_size", "wal_compression")
PREFILL_DAYS: Final = 7
API_KEY_LENGTH: Final = 43
# More than a prefill leaves to be folded.
FOLD_BATCHES_MAX: Final = 2_000

_ROOM: Final = resources.files("benchmarks") / "sql"


class NotDurable(Exception):
    """The server does not run with the durable settings; a figure from it would mean nothing."""


class Merchant(NamedTuple):
    """A merchant of the workload and its API key."""

    merchant_id: int
    api_key: str


class Regular(NamedTuple):
    """A source that pays again and again, with the merchant's number in the workload."""

    merchant: int
    currency: str
    source: str


def text(name: str) -> str:
    """Return one of the benchmark's own .sql files."""
    return (_ROOM / f"{name}.sql").read_text()


def script(name: str) -> Path:
    """Return the path of a script for pgbench."""
    return Path(str(_ROOM / f"{name}.sql"))


@contextmanager
def temporary_cluster() -> Iterator[Cluster]:
    """Run a cluster of its own, with the settings of `make up`, and delete it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="evertill-bench-"))
    # PostgreSQL may run as another user, who has to get to its data.
    root.chmod(0o755)
    try:
        with Cluster(root / "state" / "database", on_progress=say) as cluster:
            yield cluster
    finally:
        shutil.rmtree(root, ignore_errors=True)


def read_settings(cluster: Cluster) -> dict[str, str]:
    """Return the server's settings; raise NotDurable unless a commit survives a loss of power."""
    with psycopg.connect(url(cluster, "postgres")) as connection:
        found = {
            name: row[0]
            for name in SHOWN
            if (
                row := connection.execute(
                    sql.SQL("SHOW {}").format(sql.Identifier(name))
                ).fetchone()
            )
        }
    if any(found[name] != "on" for name in DURABLE):
        raise NotDurable
    return found


def url(cluster: Cluster, database: str) -> str:
    """Return how everybody connects: over TCP, as `make up` does, the service and pgbench alike."""
    return cluster.dsn(dbname=database)


def create(cluster: Cluster, name: str, template: str = "template0") -> str:
    """Create a database as a copy of another and return its address."""
    with psycopg.connect(url(cluster, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        # Each measurement begins with a fresh checkpoint, so that none pays for another's.
        connection.execute("CHECKPOINT")
    return url(cluster, name)


def drop(cluster: Cluster, name: str) -> None:
    """Drop a database that nobody needs any more."""
    with psycopg.connect(url(cluster, "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))


def settle(address: str) -> None:
    """Vacuum, analyze and checkpoint, so that the next measurement starts from rest."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def create_natural(cluster: Cluster, payments: int) -> str:
    """Create and fill the textbook's database."""
    address = create(cluster, "natural")
    with psycopg.connect(address, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(text("natural_schema").encode())
        counts = {"merchants": bounds.MERCHANTS, "payments": payments}
        connection.execute(text("natural_prefill").encode(), counts)
    settle(address)
    return address


def create_own(
    cluster: Cluster, name: str, merchants: Sequence[str], regulars: Sequence[Regular]
) -> list[Merchant]:
    """Create a database of Evertill's with merchants who have these keys, and their regulars."""
    address = create(cluster, name)
    migrate(address)
    terms = MerchantTerms(payments_per_s_max=bounds.PAYMENTS_PER_S_MAX)
    with psycopg.connect(address) as connection:
        connection.execute(text("own_schema").encode())
        made = [_create_merchant(connection, key, terms) for key in merchants]
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY benchmark.regulars FROM STDIN") as copy,
        ):
            for number, (merchant, currency, source) in enumerate(regulars, 1):
                merchant_id = made[merchant].merchant_id
                key = source_key(merchant_id, currency, source)
                copy.write_row((number, merchant_id, currency, source, key))
    return made


def prefill(address: str, payments: int, *, part: tuple[int, int], days: int) -> None:
    """Add past payments: part k of n of a time that ends a minute ago."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    number, parts = part
    step = timedelta(days=days) / parts
    since = now - step * (parts - number)
    with psycopg.connect(address) as connection:
        connection.execute(
            "SELECT benchmark.prefill(%s, %s, %s, %s)",
            (payments, bounds.MERCHANTS, since, since + step),
        )
        connection.execute("SELECT evertill.fold_balances(%s)", [FOLD_BATCHES_MAX])


def _create_merchant(
    connection: psycopg.Connection, api_key: str, terms: MerchantTerms
) -> Merchant:
    name = f"merchant {api_key[-API_KEY_LENGTH // 4 :]}"
    row = connection.execute(
        _service_statement("save_merchant"),
        {"name": name, "active": True, "terms": msgspec.json.encode(terms).decode()},
    ).fetchone()
    connection.execute(
        _service_statement("create_key"),
        {
            "key_digest": directory.digest(api_key),
            "name": name,
            "scopes": ["read", "write"],
            "hint": api_key[-directory.HINT_LENGTH :],
        },
    )
    assert row is not None
    return Merchant(int(row[0]), api_key)


def _service_statement(name: str) -> bytes:
    return b"/* as the service does */ " + STATEMENTS[name]

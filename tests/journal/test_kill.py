"""Workers are killed at random under load; afterwards the log has every event, in order, whole."""

from __future__ import annotations

import random
import secrets
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.faults.world import Supervised
from tests.journal.parts import in_order
from tests.support.history import Load, violations
from tests.support.postgres import Database
from tests.support.service import START_TIMEOUT_S, create_merchant, wait_until

from evertill.domain.rules import MerchantTerms
from evertill.journal.stores import FolderStore
from evertill.journal.verify import verify

WORKERS = 2
KILLS = 6
REQUESTS_BETWEEN_KILLS_MAX = 60
# Each worker has one for the log and one for the webhooks.
RELAYS_CONNECTED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'evertill-journal'
"""
PLENTY = MerchantTerms(payments_per_s_max=100_000)
EVENTS = """
    SELECT 'pay_' || replace(payment_id::text, '-', ''), 'evt_' || replace(event_id::text, '-', '')
    FROM events ORDER BY transaction_id, event_id
"""


def by_payment(events: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group events by their payment, in the order given."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for payment, event in events:
        grouped[payment].append(event)
    return grouped


def test_killed_workers_leave_every_event_in_the_log_in_order_and_the_chain_whole(
    database: Database, tmp_path: Path
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown with a failure, to run it again
    chance = random.Random(seed)  # noqa: S311 - no secret
    folder = tmp_path / "log"
    service = Supervised(database, tmp_path, WORKERS, log_folder=str(folder))
    merchant = create_merchant(database, PLENTY)
    load = Load(service.url, merchant)
    with service.running():
        with load.running() as history:
            for _ in range(KILLS):
                load.wait_for(more=chance.randint(1, REQUESTS_BETWEEN_KILLS_MAX))
                # With both workers dead at once, requests wait unseen for as long as a start takes.
                wait_until(
                    lambda: database.rows(RELAYS_CONNECTED) == [(2 * WORKERS,)], START_TIMEOUT_S
                )
                service.kill_one(chance.randrange(WORKERS))
            load.wait_for(more=20)
        assert [] == violations(history, database, merchant), history.summary()
        wait_until(lambda: database.rows("SELECT count(*) FROM outbox") == [(0,)], START_TIMEOUT_S)
    committed = database.rows(EVENTS)
    report = verify(FolderStore(folder))
    assert [] == report.breaks
    assert 1 < report.chains
    logged = [(r["payment_id"], r["id"]) for _, lines in in_order(folder) for r in lines[1:]]
    once = list(dict.fromkeys(logged))
    assert len(committed) == len(once)
    assert by_payment((p, e) for p, e in committed) == by_payment(once)

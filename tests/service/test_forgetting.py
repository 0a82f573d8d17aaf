"""Decisions of the validation function do not pile up: what is a week old is deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.storage.parts import with_pool
from tests.support.postgres import Database

from evertill.service.jobs import FORGET_BATCH_SIZE_MAX, VALIDATIONS_KEPT, forget

# Under ids that begin with a time, as UUIDv7 do; the rest only tells them apart.
DECIDED = """
    INSERT INTO validations (validation_id, decided_at, region, caller, currency, exponent,
        amount_minor, payment_reference)
    SELECT (lpad(to_hex(%s::bigint), 12, '0') || lpad(to_hex(number), 20, '0'))::uuid,
        now(), 'local', 'direct', 'USD', 2, 1, %s
    FROM generate_series(1, %s) AS number
"""
MINUTE = timedelta(minutes=1)


def decide(database: Database, name: str, age: timedelta, count: int = 1) -> None:
    """Store decisions that are `age` old."""
    at_ms = int((datetime.now(UTC) - age).timestamp() * 1000)
    database.rows(DECIDED, [at_ms, name, count])


def test_decisions_are_kept_for_a_week_and_not_longer(database: Database) -> None:
    decide(database, "a month ago", timedelta(days=30))
    decide(database, "too old", VALIDATIONS_KEPT + MINUTE)
    decide(database, "young enough", VALIDATIONS_KEPT - MINUTE)
    decide(database, "new", timedelta(0))
    with_pool(database, forget)
    kept = database.rows("SELECT payment_reference FROM validations ORDER BY validation_id")
    assert [("young enough",), ("new",)] == kept


def test_a_backlog_is_worked_off_in_batches(database: Database) -> None:
    decide(database, "old", VALIDATIONS_KEPT + MINUTE, 2 * FORGET_BATCH_SIZE_MAX + 1)
    with_pool(database, forget)
    assert [(0,)] == database.rows("SELECT count(*) FROM validations")


def test_old_decisions_are_found_along_the_primary_key(database: Database) -> None:
    decide(database, "old", VALIDATIONS_KEPT + MINUTE, 20_000)
    database.rows("ANALYZE validations")
    plan = database.rows(
        "EXPLAIN SELECT validation_id FROM validations WHERE validation_id < %s"
        " ORDER BY validation_id LIMIT 100 FOR UPDATE SKIP LOCKED",
        ["f" * 32],
    )
    assert "Index Scan using validations_pkey" in str(plan)

"""What the database itself refuses, whoever asks, and what the service's login may not do."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql
from tests.storage.parts import merchant_with, put, submission, with_pool
from tests.support.postgres import Database, Server

from evertill.service.jobs import fold
from evertill.storage.database import service_conninfo

TABLES = """
    SELECT relname, (SELECT min(attname) FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attnum > 0 AND attidentity = '')
    FROM pg_class WHERE relnamespace = 'evertill'::regnamespace AND relkind IN ('r', 'p')
"""
FUNCTIONS = """
    SELECT 'evertill.' || proname || '(' || pg_get_function_identity_arguments(oid) || ')'
    FROM pg_proc WHERE pronamespace = 'evertill'::regnamespace
"""
TRANSFER = """
    INSERT INTO transfers VALUES (gen_random_uuid(), 1, 1, 'USD', 2, {debit}, {credit}, {amount},
        {fee}, now())
"""


@pytest.fixture(scope="module")
def guarded(postgres: Server) -> Iterator[Database]:
    """Give a database with one payment in it, which every test here leaves as it is."""
    with postgres.fresh_database() as database:
        put(database, submission(merchant_with(database)))
        with_pool(database, fold)
        yield database


@pytest.fixture(params=["as a login", "as a role"])
def service(guarded: Database, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Give a connection of the service's login, before and after it has taken its role."""
    url = guarded.service_url
    conninfo = service_conninfo(url) if request.param == "as a role" else url
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


def refused(database: Database, statement: str) -> psycopg.Error:
    """Run a statement as the owner and return why it was refused."""
    with pytest.raises(psycopg.Error) as refusal:
        database.rows(statement)
    return refusal.value


@pytest.mark.parametrize(
    ("debit", "credit", "amount", "fee"),
    [(1, 3, 100, 101), (1, 3, 100, -1), (3, 3, 100, 0), (1, 3, 0, 0), (1, 3, -5, 0), (1, 7, 5, 0)],
    ids=["fee over amount", "fee below zero", "to itself", "zero", "negative", "no account"],
)
def test_a_transfer_that_would_not_balance_is_refused(
    guarded: Database, debit: int, credit: int, amount: int, fee: int
) -> None:
    statement = TRANSFER.format(debit=debit, credit=credit, amount=amount, fee=fee)
    assert isinstance(refused(guarded, statement), errors.CheckViolation)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE transfers SET amount_minor = 1", "DELETE FROM transfers", "TRUNCATE transfers"],
)
def test_the_ledger_is_append_only_for_its_owner_too(guarded: Database, statement: str) -> None:
    assert isinstance(refused(guarded, statement), errors.RestrictViolation)
    assert [(1,)] == guarded.rows("SELECT count(*) FROM transfers")


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("merchant_pending = merchant_pending + 1", "balances_conserve_money"),
        (
            "merchant_available = -1, merchant_pending = merchant_pending + 1",
            "balances_available_not_negative",
        ),
    ],
)
def test_a_balance_that_cannot_be_is_refused(
    guarded: Database, change: str, constraint: str
) -> None:
    refusal = refused(guarded, f"UPDATE balances SET {change}")
    assert constraint == refusal.diag.constraint_name


def test_a_second_event_for_one_key_is_refused(guarded: Database) -> None:
    refusal = refused(
        guarded,
        """INSERT INTO events SELECT merchant_id, pg_current_xact_id(), gen_random_uuid(),
            gen_random_uuid(), type, key_digest, body_digest, created_at, answer FROM events""",
    )
    assert isinstance(refusal, errors.UniqueViolation)


def test_a_second_payment_for_one_key_is_refused_and_leaves_nothing(guarded: Database) -> None:
    merchant = merchant_with(guarded)
    first = submission(merchant)
    put(guarded, first)
    with pytest.raises(errors.UniqueViolation):
        put(guarded, submission(merchant, key_digest=first.key_digest))
    found = guarded.rows(
        "SELECT count(*) FROM payments WHERE merchant_id = %s", [merchant.merchant_id]
    )
    assert [(1,)] == found


@pytest.mark.parametrize(
    "change",
    [
        "refunded_minor = captured_minor + 1",
        "captured_minor = amount_minor + 1",
        "fee_minor = captured_minor + 1",
        "status = 'paid'",
        "status = 'declined'",
        "decline_code = 'source_blocked'",
    ],
)
def test_a_payment_that_cannot_be_is_refused(guarded: Database, change: str) -> None:
    refusal = refused(guarded, f"UPDATE payments SET {change}")
    assert isinstance(refusal, errors.CheckViolation)


def test_the_service_may_write_no_table(guarded: Database, service: psycopg.Connection) -> None:
    tables = guarded.rows(TABLES)
    assert {"payments", "events", "transfers", "balances", "outbox", "api_keys"} <= {
        name for name, _ in tables
    }
    for name, column in tables:
        table, first = sql.Identifier("evertill", name), sql.Identifier(column)
        for statement in (
            sql.SQL("INSERT INTO {} DEFAULT VALUES").format(table),
            sql.SQL("UPDATE {} SET {} = {}").format(table, first, first),
            sql.SQL("DELETE FROM {}").format(table),
            sql.SQL("TRUNCATE {}").format(table),
            sql.SQL("SELECT FROM {} FOR UPDATE").format(table),
            sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(table),
            sql.SQL("DROP TABLE {}").format(table),
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                service.execute(statement)


def test_the_service_may_not_post_transfers_by_themselves(service: psycopg.Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        service.execute(
            """SELECT evertill.post_transfers(now(), ARRAY[gen_random_uuid()],
                ARRAY[1], ARRAY[1::bigint], ARRAY['USD'], ARRAY[2::smallint], ARRAY[1::smallint],
                ARRAY[3::smallint], ARRAY[100::bigint], ARRAY[0::bigint])"""
        )


def test_the_service_may_call_only_the_functions_that_it_needs(
    service: psycopg.Connection,
) -> None:
    callable_ones = service.execute(
        """SELECT proname FROM pg_proc WHERE pronamespace = 'evertill'::regnamespace
            AND has_function_privilege(oid, 'EXECUTE') ORDER BY proname"""
    ).fetchall()
    reading, writing = ["lock_expired", "lock_payment"], ["record_moves", "record_payments"]
    expected = ["begin_term", "claim_deliveries", "claim_outbox", "create_webhook"]
    expected += ["enable_webhook", "fan_out_webhooks", "finish_delivery", "fold_balances"]
    expected += ["forget_validations", *reading, "raise_epoch", *writing, "redeliver_event"]
    expected += ["remove_webhook", "rotate_webhook", "settle_captures", "settle_outbox"]
    assert expected == [name for (name,) in callable_ones]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE evertill.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE VIEW evertill.mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION evertill.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE mine",
        "ALTER SCHEMA evertill RENAME TO mine",
        "DROP TRIGGER transfers_are_append_only ON evertill.transfers",
        "SET session_replication_role = replica",
    ],
)
def test_the_service_may_create_and_switch_off_nothing(
    service: psycopg.Connection, statement: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        service.execute(statement.encode())


def test_the_service_may_not_change_functions(
    guarded: Database, service: psycopg.Connection
) -> None:
    for (signature,) in guarded.rows(FUNCTIONS):
        for change in ("SECURITY INVOKER", "RESET ALL", "OWNER TO CURRENT_USER"):
            with pytest.raises(errors.InsufficientPrivilege):
                service.execute(f"ALTER FUNCTION {signature} {change}".encode())
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(f"DROP FUNCTION {signature}".encode())
    with pytest.raises(errors.InsufficientPrivilege):
        service.execute(
            """CREATE OR REPLACE FUNCTION evertill.refuse_change() RETURNS trigger
                LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"""
        )


def test_functions_with_their_owners_rights_pin_their_search_path(guarded: Database) -> None:
    loose = guarded.rows(
        """SELECT proname FROM pg_proc WHERE pronamespace = 'evertill'::regnamespace
            AND prosecdef AND NOT 'search_path=evertill, pg_temp' = ANY (proconfig)"""
    )
    assert [] == loose

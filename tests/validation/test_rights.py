"""What the function's login may not do, whoever has stolen it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from tests.support.postgres import Database
from tests.validation.conftest import login

ALLOWED = {"find_caller", "find_merchant", "source_history", "record_validation"}


def test_it_may_touch_no_table(database: Database) -> None:
    tables = database.rows(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'evertill'::regnamespace AND relkind IN ('r', 'v')"
    )
    with psycopg.connect(login(database), autocommit=True) as connection:
        for role in ("SELECT 1", "SET ROLE evertill_validation"):
            connection.execute(role)
            for (table,) in tables:
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(f"TABLE evertill.{table}".encode())


def test_it_may_call_four_functions(database: Database) -> None:
    callable_now = database.rows(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'evertill'::regnamespace"
        " AND has_function_privilege('evertill_validation', oid, 'EXECUTE')"
    )
    assert ALLOWED == {name for (name,) in callable_now}


def test_the_service_may_store_no_validation(database: Database) -> None:
    assert [(False,)] == database.rows(
        "SELECT has_function_privilege('evertill_service', oid, 'EXECUTE') FROM pg_proc"
        " WHERE proname = 'record_validation'"
    )


def test_a_repeated_record_changes_nothing(database: Database) -> None:
    call = (
        "SELECT record_validation('{0}', now(), 'r', 'direct', NULL, NULL, 'USD', 2::smallint,"
        " {1}, NULL, NULL)"
    )
    name = "01a2b3c4-0000-7000-8000-000000000001"
    database.rows(call.format(name, 1))
    database.rows(call.format(name, 2))
    assert [(1,)] == database.rows("SELECT amount_minor::integer FROM validations")

"""A link to the database by itself: what it keeps, what it drops, and what it never waits for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.support.postgres import Database, Server
from tests.support.service import create_merchant, new_source
from tests.validation.conftest import Deploy, direct, login, payment

from evertill.domain.errors import Unavailable
from evertill.validation.database import Databases, Link, ReadOnly
from evertill.validation.settings import Settings

DECISION = {
    "decided_at": "2026-11-01T00:00:00Z",
    "region": "local",
    "caller": "direct",
    "merchant_id": None,
    "payment_reference": None,
    "currency": "USD",
    "exponent": 2,
    "amount_minor": "1",
    "source": None,
    "decline_code": None,
}


def databases(url: str, database_reader_url: str = "") -> Databases:
    """Return links to the database at `url`."""
    return Databases(
        Settings(database_url=url, database_reader_url=database_reader_url, log_bucket="none")
    )


@pytest.fixture
def link(database: Database) -> Iterator[Link]:
    """Give a link to a fresh database."""
    link = databases(login(database)).writer
    yield link
    link.drop()


def store(link: Link) -> None:
    """Store a decision."""
    link.run("record_validation", validation_id=uuid4().hex, **DECISION)


def test_a_kept_connection_to_what_is_no_writer_any_more_is_replaced(
    database: Database, link: Link
) -> None:
    store(link)
    kept = link._connection
    assert kept is not None
    # What a failover leaves behind: the same connection, to a server that is a reader now.
    kept.run("SET default_transaction_read_only = on")
    store(link)
    assert link._connection is not kept
    assert [(2,)] == database.rows("SELECT count(*) FROM validations")


def test_a_writer_that_stays_read_only_is_told_from_one_that_is_away(link: Link) -> None:
    connection = link._connect()
    connection.run("SET default_transaction_read_only = on")
    with pytest.raises(ReadOnly):
        link._run(connection, "record_validation", {"validation_id": uuid4().hex, **DECISION})
    assert link._connection is None
    connection.close()


def test_a_writer_that_cannot_be_reached_is_not_asked_again_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    link = databases(f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable").writer
    with pytest.raises(Unavailable):
        store(link)
    # A server that is there by now is not asked for a while: no wait, and no connection.
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.setblocking(False)
        with pytest.raises(Unavailable):
            store(link)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_question_that_a_reader_cancels_is_asked_of_the_writer(
    database: Database, postgres: Server, deploy: Deploy
) -> None:
    merchant = create_merchant(database)
    with postgres.fresh_database() as reader:
        reader.rows(
            "CREATE OR REPLACE FUNCTION find_merchant(of_name text)"
            " RETURNS TABLE (merchant_id bigint, active boolean, terms text)"
            " LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$ BEGIN"
            " RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$"
        )
        function = deploy(database, EVERTILL_DATABASE_READER_URL=login(reader))
        status, body = direct(function, payment(merchant=merchant.name, source=new_source()))
    assert (200, True, False) == (status, body["history_checked"], body["read_only"])


def test_the_writer_is_asked_while_there_is_no_reader(database: Database, deploy: Deploy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    nobody = f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable"
    function = deploy(database, EVERTILL_DATABASE_READER_URL=nobody)
    status, body = direct(function, payment(merchant="unknown"))
    assert (400, "invalid_request") == (status, body["code"])

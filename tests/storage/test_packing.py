"""Columns packed as binary arrays arrive at a real server as they were sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.postgres import Server

from evertill.storage import packing

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
_raw_uuids = st.binary(min_size=16, max_size=16)
# PostgreSQL's text holds every character but NUL; surrogates are no characters.
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def connection(postgres: Server) -> Iterator[psycopg.Connection]:
    """Give a connection that takes packed arrays."""
    with psycopg.connect(postgres.login, prepare_threshold=0) as connection:
        packing.register(connection)
        yield connection


def echo(connection: psycopg.Connection, packed: packing.PackedArray) -> tuple[str, list[Any]]:
    """Let the server say the array's type and send back its elements."""
    row = connection.execute(
        "SELECT pg_typeof(%(a)s)::text, ARRAY(SELECT unnest(%(a)s))", {"a": packed}, binary=True
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def bits(width: int) -> st.SearchStrategy[int]:
    """Make signed integers of so many bits, their limits included."""
    return st.integers(-(2 ** (width - 1)), 2 ** (width - 1) - 1)


@EXAMPLES
@given(st.lists(st.none() | bits(16)))
@example([])
def test_small_integers_arrive(connection: psycopg.Connection, values: list[int | None]) -> None:
    assert ("smallint[]", values) == echo(connection, packing.pack_int2(values))


@EXAMPLES
@given(st.lists(bits(32)))
@example([])
def test_integers_arrive(connection: psycopg.Connection, values: list[int]) -> None:
    assert ("integer[]", values) == echo(connection, packing.pack_int4(values))


@EXAMPLES
@given(st.lists(bits(64)))
@example([])
def test_big_integers_arrive(connection: psycopg.Connection, values: list[int]) -> None:
    assert ("bigint[]", values) == echo(connection, packing.pack_int8(values))


@EXAMPLES
@given(st.lists(st.none() | _texts))
@example([])
@example([""])
@example(["NULL", None, '"{,}\\', "\U0001f4b6", "é", "ﷺ" * 500])
def test_text_arrives(connection: psycopg.Connection, values: list[str | None]) -> None:
    packed = packing.pack_text([None if value is None else value.encode() for value in values])
    assert ("text[]", values) == echo(connection, packed)


@EXAMPLES
@given(st.lists(_raw_uuids))
@example([])
def test_uuids_arrive(connection: psycopg.Connection, values: list[bytes]) -> None:
    assert ("uuid[]", _uuids(values)) == echo(connection, packing.pack_uuid(values))


@EXAMPLES
@given(st.lists(st.none() | _raw_uuids))
@example([])
def test_uuids_that_may_be_missing_arrive(
    connection: psycopg.Connection, values: list[bytes | None]
) -> None:
    assert ("uuid[]", _uuids(values)) == echo(connection, packing.pack_optional_uuid(values))


def _uuids(values: Sequence[bytes | None]) -> list[UUID | None]:
    return [None if value is None else UUID(bytes=value) for value in values]

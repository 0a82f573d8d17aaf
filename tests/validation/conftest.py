"""Fixtures of the validation function: the built asset, run as AWS would run it.

`asset`          the asset for this machine, built once
`aws`            an emulator of S3 with the log's bucket
`deploy`         a function `(database, **environment)` that starts an execution environment
`place`          a database, and the function on it, that cheap tests share
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from scripts.validation_asset import build
from tests.support.aws import Aws, running_aws
from tests.support.postgres import Database, Server
from tests.support.runtime_api import Function, make_client, running_function

from evertill.storage.migrate import VALIDATION_ROLE, create_login

BUCKET = "payment-logs-test"
REGION = "us-east-1"

Deploy = Callable[..., Function]


class Parts(NamedTuple):
    """What a function is made of: its code, AWS's client, and the emulator."""

    asset: Path
    client: Path
    aws: Aws


class Place(NamedTuple):
    """A database and the function that works on it."""

    database: Database
    function: Function
    parts: Parts

    def direct(self, **event: Any) -> tuple[int, Any]:
        """Invoke directly; return the status and the body."""
        return direct(self.function, event)

    def records(self) -> list[Any]:
        """Return all records of the log, whoever wrote them."""
        return [record for _, record in records(self.parts.aws)]


def direct(function: Function, event: Any) -> tuple[int, Any]:
    """Invoke directly; return the status and the body."""
    answer = function.invoke(event)
    assert answer.error is None, answer.payload
    assert {"statusCode", "body"} == set(answer.payload)
    return answer.payload["statusCode"], json.loads(answer.payload["body"])


def payment(**fields: Any) -> dict[str, Any]:
    """Return the event of a direct invoke that is valid; fields that are None are left out."""
    event = {"payment_id": f"order-{secrets.token_hex(6)}", "amount": "10.99", "currency": "USD"}
    return {name: value for name, value in (event | fields).items() if value is not None}


def records(aws: Aws) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return manifest and record of each object in the bucket."""
    client = aws.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    found = []
    for entry in [entry for page in pages for entry in page.get("Contents", [])]:
        body = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        manifest, record = gzip.decompress(body).splitlines()
        found.append((json.loads(manifest) | {"key": entry["Key"]}, json.loads(record)))
    return found


def login(database: Database) -> str:
    """Return the URL of a new login that may validate and no more."""
    user, password = f"validation_{secrets.token_hex(6)}", secrets.token_hex(16)
    create_login(database.admin_url, user, password, VALIDATION_ROLE)
    where = psycopg.conninfo.conninfo_to_dict(database.admin_url)
    address = f"{where['host']}:{where['port']}/{database.name}"
    return f"postgresql://{user}:{password}@{address}?sslmode=disable"


def environment(parts: Parts, url: str) -> dict[str, str]:
    """Return the variables of a function on the database at `url`."""
    return {
        "EVERTILL_DATABASE_URL": url,
        "EVERTILL_REGION": REGION,
        "EVERTILL_LOG_BUCKET": BUCKET,
        "AWS_ENDPOINT_URL_S3": parts.aws.url,
    }


@pytest.fixture(scope="session")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the built asset."""
    return build(tmp_path_factory.mktemp("validation") / "asset", is_local=True)


@pytest.fixture(scope="session")
def parts(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Give what functions are made of."""
    client = make_client(tmp_path_factory.mktemp("client"))
    with running_aws(tmp_path_factory.mktemp("aws")) as aws:
        aws.client("s3").create_bucket(Bucket=BUCKET)
        yield Parts(asset, client, aws)


@pytest.fixture
def deploy(parts: Parts, tmp_path: Path) -> Iterator[Deploy]:
    """Give a function that starts an execution environment on a database."""
    with ExitStack() as stack:

        def start(database: Database, **variables: str) -> Function:
            given = environment(parts, login(database)) | variables
            log = tmp_path / f"function-{secrets.token_hex(4)}.log"
            return stack.enter_context(running_function(parts.asset, parts.client, given, log))

        yield start


@pytest.fixture(scope="session")
def place(
    postgres: Server, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Give what cheap tests share."""
    log = tmp_path_factory.mktemp("function") / "function.log"
    with postgres.fresh_database() as database:
        given = environment(parts, login(database))
        with running_function(parts.asset, parts.client, given, log) as function:
            yield Place(database, function, parts)

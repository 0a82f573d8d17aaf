"""Logging in by IAM, with keys from a real endpoint."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.support.postgres import Database

from evertill.domain.errors import UsageError
from evertill.domain.signing import Credentials
from evertill.service.cloud import ADDRESS_VARIABLE, Identity, NoCredentials
from evertill.service.login import IamLogin, addresses
from evertill.service.settings import Settings, read_settings
from evertill.storage.database import pool

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
REGION = "us-east-1"
HOST = "db.cluster-x.us-east-1.rds.amazonaws.com"
URL = f"postgresql://payment_user@{HOST}:5432/evertill?sslmode=verify-full"
# AWS's documentation uses this pair in all its examples; the token is ours.
KEYS = Credentials(
    access_key_id="AKIDEXAMPLE",
    secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    token="to/ken+with=signs",
)


class Endpoint:
    """A task's credentials endpoint: hands out keys that are valid for `valid`."""

    def __init__(self, valid: timedelta) -> None:
        self.asked = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.asked += 1
                keys = {
                    "AccessKeyId": f"AKID{endpoint.asked}",
                    "SecretAccessKey": "secret",
                    "Token": "token",
                    "Expiration": f"{datetime.now(UTC) + valid:%Y-%m-%dT%H:%M:%SZ}",
                    "RoleArn": "arn:aws:iam::123456789012:role/task",
                }
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(keys).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.variables = {ADDRESS_VARIABLE: f"http://127.0.0.1:{self.server.server_port}/keys"}


@pytest.fixture(params=[timedelta(hours=6)])
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """Give a running endpoint."""
    endpoint = Endpoint(request.param)
    thread = threading.Thread(target=endpoint.server.serve_forever)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


def test_a_token_is_a_signed_statement_of_who_logs_in() -> None:
    token = IamLogin(URL, REGION, Identity({})).token(KEYS, AT)
    host, _, query = token.partition("/?")
    words = {name: values[0] for name, values in parse_qs(query).items()}
    assert f"{HOST}:5432" == host
    assert ("connect", "payment_user") == (words["Action"], words["DBUser"])
    assert ("900", KEYS.token) == (words["X-Amz-Expires"], words["X-Amz-Security-Token"])


def test_keys_are_asked_of_the_task_once_and_remembered(endpoint: Endpoint) -> None:
    identity = Identity(endpoint.variables)
    assert ["AKID1", "AKID1"] == [identity.credentials().access_key_id for _ in range(2)]
    assert 1 == endpoint.asked


@pytest.mark.parametrize("endpoint", [timedelta(minutes=1)], indirect=True)
def test_keys_that_end_soon_are_asked_for_again(endpoint: Endpoint) -> None:
    identity = Identity(endpoint.variables)
    assert ["AKID1", "AKID2"] == [identity.credentials().access_key_id for _ in range(2)]


def test_each_connection_gets_a_token_of_its_own_as_its_password(endpoint: Endpoint) -> None:
    login = IamLogin(URL, REGION, Identity(endpoint.variables))
    parts = conninfo_to_dict(asyncio.run(login.conninfo()))
    assert ("payment_user", HOST, "verify-full") == (parts["user"], parts["host"], parts["sslmode"])
    assert str(parts["password"]).startswith(f"{HOST}:5432/?Action=connect&DBUser=payment_user&")


def test_a_process_without_a_role_is_told_which_variables_name_one() -> None:
    with pytest.raises(NoCredentials, match="AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        Identity({}).credentials()


def test_an_endpoint_that_does_not_answer_counts_as_an_unreachable_database() -> None:
    nowhere = Identity({ADDRESS_VARIABLE: "http://127.0.0.1:1/keys"})
    with pytest.raises(psycopg.OperationalError):
        asyncio.run(IamLogin(URL, REGION, nowhere).conninfo())


def test_a_login_by_iam_needs_a_user_and_a_host() -> None:
    with pytest.raises(UsageError, match="must name a user and a host"):
        IamLogin("postgresql:///evertill", REGION)


def test_the_kind_of_login_is_a_setting_and_a_password_is_the_default() -> None:
    given = {"EVERTILL_DATABASE_URL": URL}
    assert URL == addresses(read_settings(given)).writer
    iam = read_settings({**given, "EVERTILL_DATABASE_LOGIN": "iam", "EVERTILL_REGION": REGION})
    assert callable(addresses(iam).writer)
    assert iam == read_settings(iam.environment())
    with pytest.raises(UsageError, match="EVERTILL_DATABASE_LOGIN is missing or wrong"):
        read_settings({**given, "EVERTILL_DATABASE_LOGIN": "kerberos"})


def test_the_pool_asks_for_an_address_at_every_connection(database: Database) -> None:
    asked = []

    async def address() -> str:
        asked.append(1)
        return database.service_url

    async def run() -> int:
        async with pool(address) as connections, connections.connection() as one:
            await connections.resize(2)
            async with connections.connection() as two:
                row = await (await two.execute("SELECT 1")).fetchone()
                await one.execute("SELECT 1")
        assert row == (1,)
        return len(asked)

    assert 2 <= asyncio.run(run())


def test_settings_name_no_password_where_the_login_is_by_iam() -> None:
    settings = Settings(database_url=URL, database_login="iam", region=REGION)
    assert "password" not in settings.environment()["EVERTILL_DATABASE_URL"]

"""TLS, logins and signatures: what the function says to others, held to what others know."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from tests.support.postgres import Database
from tests.support.tls_front import Front, running_front
from tests.validation.conftest import Deploy, direct, login, payment

from evertill.domain.errors import UsageError
from evertill.validation.settings import read_settings
from evertill.validation.signing import Credentials, Signer

TIME = "%Y%m%dT%H%M%SZ"
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/with+signs==")


def behind(database: Database) -> tuple[str, int]:
    """Return host and port of the test's server."""
    where = psycopg.conninfo.conninfo_to_dict(database.admin_url)
    return str(where["host"]), int(where["port"] or 0)


def encrypted(database: Database, front: Front, authorities: Path) -> str:
    """Return the URL of a login through the front, checked against `authorities`."""
    parts = urlsplit(login(database))
    port = front.server_address[1]
    where = f"{parts.username}:{parts.password}@localhost:{port}/{database.name}"
    return f"postgresql://{where}?sslmode=verify-full&sslrootcert={authorities}"


def test_a_server_that_proves_its_name_is_trusted(
    database: Database, deploy: Deploy, tmp_path: Path
) -> None:
    with running_front(behind(database), tmp_path, "localhost") as front:
        function = deploy(
            database, EVERTILL_DATABASE_URL=encrypted(database, front, front.authorities)
        )
        answer = direct(function, payment())[1]
        assert not answer.get("read_only", True), function.output()


@pytest.mark.parametrize("fault", ["another name", "another authority"])
def test_a_server_that_does_not_gets_no_login(
    database: Database, deploy: Deploy, tmp_path: Path, fault: str
) -> None:
    name = "elsewhere.test" if fault == "another name" else "localhost"
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with (
        running_front(behind(database), tmp_path, name) as front,
        running_front(behind(database), stranger, name) as other,
    ):
        trusted = front if fault == "another name" else other
        url = encrypted(database, front, trusted.authorities)
        function = deploy(database, EVERTILL_DATABASE_URL=url)
        assert direct(function, payment())[1]["read_only"]
        assert "CERTIFICATE_VERIFY_FAILED" in function.output()


def test_a_server_without_tls_gets_no_login(database: Database, deploy: Deploy) -> None:
    url = login(database).partition("?")[0]
    function = deploy(database, EVERTILL_DATABASE_URL=url)
    assert direct(function, payment())[1]["read_only"]
    assert "Server refuses SSL" in function.output()


@pytest.mark.parametrize("token", [KEYS[2], None])
def test_a_login_token_is_the_one_that_botocore_makes(token: str | None) -> None:
    client = boto3.client(
        "rds",
        region_name="us-east-2",
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
        aws_session_token=token,
    )
    host = "payment-db.cluster-ro-x.us-east-2.rds.amazonaws.com"
    theirs = client.generate_db_auth_token(host, 5432, "payment user")
    at = datetime.strptime(parse_qs(theirs.partition("?")[2])["X-Amz-Date"][0], TIME).replace(
        tzinfo=UTC
    )
    credentials = Credentials(KEYS[0], KEYS[1], token)
    ours = Signer(credentials, "us-east-2", "rds-db", at).login_token(
        f"{host}:5432", "payment user"
    )
    assert sorted(theirs.partition("?")[2].split("&")) == sorted(ours.partition("?")[2].split("&"))
    assert theirs.partition("?")[0] == ours.partition("?")[0]


def test_a_put_is_signed_as_botocore_signs_it() -> None:
    host, path, body = "bucket.s3.us-east-1.amazonaws.com", "/us-east-1/2026/11/a%20b.gz", b"log"
    request = AWSRequest(
        "PUT", f"https://{host}{path}", headers={"content-encoding": "gzip"}, data=body
    )
    S3SigV4Auth(TheirCredentials(*KEYS), "s3", "us-east-1").add_auth(request)
    at = datetime.strptime(request.context["timestamp"], TIME).replace(tzinfo=UTC)
    signer = Signer(Credentials(*KEYS), "us-east-1", "s3", at)
    ours = signer.put_headers(host, path, {"content-encoding": "gzip"}, body)
    assert request.headers["Authorization"] == ours["authorization"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"EVERTILL_DATABASE_URL": ""}, "EVERTILL_DATABASE_URL"),
        ({"EVERTILL_LOG_BUCKET": ""}, "EVERTILL_LOG_BUCKET"),
        ({"EVERTILL_DATABASE_URL": "mysql://u@h/d"}, "EVERTILL_DATABASE_URL"),
        ({"EVERTILL_DATABASE_URL": "postgresql://u@h:port/d"}, "EVERTILL_DATABASE_URL"),
        (
            {"EVERTILL_DATABASE_READER_URL": "postgresql://u@h/d?sslmode=require"},
            "EVERTILL_READER_URL",
        ),
        (
            {
                "EVERTILL_DATABASE_LOGIN": "iam",
                "EVERTILL_DATABASE_URL": "postgresql://u@h/d?sslmode=disable",
            },
            "EVERTILL_DATABASE_URL",
        ),
        ({"EVERTILL_DATABASE_LOGIN": "trust"}, "EVERTILL_DATABASE_LOGIN"),
        ({"EVERTILL_AMOUNT_LIMITS": "USD"}, "EVERTILL_AMOUNT_LIMITS"),
        ({"EVERTILL_AMOUNT_LIMITS": "XAU=5"}, "EVERTILL_AMOUNT_LIMITS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variables: dict[str, str], named: str) -> None:
    whole = {"EVERTILL_DATABASE_URL": "postgresql://u@h/d", "EVERTILL_LOG_BUCKET": "b"} | variables
    with pytest.raises(UsageError, match=named):
        read_settings(whole)

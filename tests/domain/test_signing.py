"""Signatures as AWS's own library makes them, of the same keys, times and words."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials

from evertill.domain.signing import Credentials, Signer

TIME = "%Y%m%dT%H%M%SZ"
# AWS's documentation uses this pair in all its examples; the token is ours.
KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "to/ken+with=signs")


@pytest.mark.parametrize("token", [KEYS[2], None])
def test_a_login_token_is_the_one_that_botocore_makes(token: str | None) -> None:
    client = boto3.client(
        "rds",
        region_name="us-east-2",
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
        aws_session_token=token,
    )
    host, user = "payment-db.cluster-ro-x.us-east-2.rds.amazonaws.com", "payment user"
    theirs = client.generate_db_auth_token(host, 5432, user)
    words = parse_qs(theirs.partition("?")[2])
    at = datetime.strptime(words["X-Amz-Date"][0], TIME).replace(tzinfo=UTC)
    signer = Signer(Credentials(KEYS[0], KEYS[1], token), "us-east-2", "rds-db", at)
    ours = signer.login_token(f"{host}:5432", user)
    assert theirs.partition("?")[0] == ours.partition("?")[0]
    assert sorted(theirs.partition("?")[2].split("&")) == sorted(ours.partition("?")[2].split("&"))


@pytest.mark.parametrize(
    ("kind", "service", "method", "path", "headers"),
    [
        (
            S3SigV4Auth,
            "s3",
            "PUT",
            "/us-east-1/2026/11/a%20b.gz",
            {"content-type": "application/x-ndjson+gzip", "x-amz-checksum-sha256": "c3Vt"},
        ),
        (
            SigV4Auth,
            "secretsmanager",
            "POST",
            "/",
            {"x-amz-target": "secretsmanager.GetSecretValue"},
        ),
    ],
)
def test_a_request_is_signed_as_botocore_signs_it(
    kind: type[SigV4Auth], service: str, method: str, path: str, headers: dict[str, str]
) -> None:
    host, body = f"{service}.us-east-1.amazonaws.com", b'{"SecretId":"payment-db-admin-prod"}'
    request = AWSRequest(method, f"https://{host}{path}", headers=headers, data=body)
    kind(TheirCredentials(*KEYS), service, "us-east-1").add_auth(request)
    at = datetime.strptime(request.context["timestamp"], TIME).replace(tzinfo=UTC)
    content = request.headers.get("x-amz-content-sha256")
    given = headers | ({"x-amz-content-sha256": content} if content else {})
    signer = Signer(Credentials(*KEYS), "us-east-1", service, at)
    ours = signer.signed_headers((method, host, path), given, body)
    assert request.headers["Authorization"] == ours["authorization"]

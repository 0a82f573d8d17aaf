"""Which right a request needs, on what, and that a role without it is refused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Request, Scope
from evertill.twin.api.permissions import Permissions, rights_needed
from evertill.twin.parts.identities import Identities
from evertill.twin.policies import Statement

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/task"
AT = "us-east-1:123456789012"


def request(
    service: str, method: str = "POST", target: str = "/", operation: str = "", **fields: object
) -> tuple[Request, Scope]:
    is_form = service == "sns"
    texts = {"Action": operation, **{name: str(value) for name, value in fields.items()}}
    body = urlencode(texts) if is_form else json.dumps(fields)
    kind = "application/x-www-form-urlencoded" if is_form else "application/x-amz-json-1.0"
    headers = (("content-type", kind), ("x-amz-target", f"X.{operation}" if not is_form else ""))
    made = Request(method=method, target=target, headers=headers, body=body.encode())
    return made, Scope("KEY", REGION, service)


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (request("s3", "PUT", "/log/a%20b"), ("s3:PutObject", "arn:aws:s3:::log/a b")),
        (request("s3", "GET", "/log?list-type=2"), ("s3:ListBucket", "arn:aws:s3:::log")),
        (
            request("s3", "PUT", "/log/a?retention"),
            ("s3:PutObjectRetention", "arn:aws:s3:::log/a"),
        ),
        (
            request("dynamodb", operation="PutItem", TableName="lease"),
            ("dynamodb:PutItem", f"arn:aws:dynamodb:{AT}:table/lease"),
        ),
        (
            request("secretsmanager", operation="GetSecretValue", SecretId="admin"),
            ("secretsmanager:GetSecretValue", "admin"),
        ),
        (
            request("sns", operation="Publish", TopicArn=f"arn:aws:sns:{AT}:alerts"),
            ("sns:Publish", f"arn:aws:sns:{AT}:alerts"),
        ),
        (
            request("lambda", target="/2015-03-31/functions/validate/invocations"),
            ("lambda:InvokeFunction", f"arn:aws:lambda:{AT}:function:validate"),
        ),
        (request("monitoring", operation="PutMetricData"), ("cloudwatch:PutMetricData", "*")),
    ],
    ids=lambda value: str(value[0]) if isinstance(value[0], str) else "",
)
def test_a_request_needs_the_right_that_aws_documents(
    asked: tuple[Request, Scope], needed: tuple[str, str]
) -> None:
    assert [needed] == list(rights_needed(*asked, REGION))


def test_a_role_is_held_to_its_policies_and_an_operator_is_not() -> None:
    permissions = Permissions(
        REGION,
        lambda key: ROLE if key == "KEY" else None,
        lambda role, action, resource, _: (
            (role, action, resource) == (ROLE, "s3:GetObject", "arn:aws:s3:::log/a")
        ),
    )
    allowed, scope = request("s3", "GET", "/log/a")
    forbidden, _ = request("s3", "PUT", "/log/a")
    asyncio.run(permissions(allowed, scope))
    asyncio.run(permissions(forbidden, Scope("OPERATOR", REGION, "s3")))
    with pytest.raises(ApiError) as refused:
        asyncio.run(permissions(forbidden, scope))
    assert ("AccessDenied", 403) == (refused.value.aws_code, refused.value.status)


def test_keys_that_have_expired_are_nobodys_and_not_the_operators() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    identities = Identities("127.0.0.1", 0, {}, now=lambda: now)
    spent = identities.issue(ROLE).access_key_id
    assert ROLE == identities.role_of(spent)
    now += timedelta(days=1)
    assert "" == identities.role_of(spent)
    assert identities.role_of("AKIAOPERATOR") is None
    permissions = Permissions(REGION, identities.role_of, identities.allows)
    asked, _ = request("s3", "GET", "/log/a")
    with pytest.raises(ApiError) as refused:
        asyncio.run(permissions(asked, Scope(spent, REGION, "s3")))
    assert "ExpiredToken" == refused.value.aws_code


def test_a_condition_may_ask_for_the_region() -> None:
    here = ("StringEquals", "aws:RequestedRegion", (REGION,))
    grant = Statement(is_allow=True, actions=("s3:*",), resources=("*",), conditions=(here,))
    identities = Identities("127.0.0.1", 0, {ROLE: [grant]})
    asked, scope = request("s3", "GET", "/log/a")
    asyncio.run(Permissions(REGION, lambda _: ROLE, identities.allows)(asked, scope))
    with pytest.raises(ApiError):
        asyncio.run(Permissions("us-west-2", lambda _: ROLE, identities.allows)(asked, scope))


def test_a_secret_that_is_named_is_held_to_its_arn() -> None:
    arn = f"arn:aws:secretsmanager:{AT}:secret:admin-a1b2c3"
    permissions = Permissions(
        REGION, lambda _: ROLE, lambda *asked: asked[2] == arn, {"admin": arn}
    )
    asyncio.run(permissions(*request("secretsmanager", operation="GetSecretValue", SecretId=arn)))
    asyncio.run(
        permissions(*request("secretsmanager", operation="GetSecretValue", SecretId="admin"))
    )
    with pytest.raises(ApiError):
        asyncio.run(
            permissions(*request("secretsmanager", operation="GetSecretValue", SecretId="other"))
        )

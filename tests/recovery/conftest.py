"""An emulator of KMS and DynamoDB: a key that signs, and a lease that the new region holds."""

from __future__ import annotations

import pytest
from tests.authority.conftest import aws
from tests.support.aws import Aws

from evertill.authority.lease import Found
from evertill.authority.table import Table
from evertill.recovery.deployment import read_deployment

__all__ = ["aws"]

REGION = "us-east-2"


@pytest.fixture
def signing_key(aws: Aws) -> str:
    """Give a key as the runbook makes it, in the region that took over."""
    made = aws.client("kms", REGION).create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description="Signs reports of recovery"
    )
    return str(made["KeyMetadata"]["KeyId"])


@pytest.fixture
def lease_table(aws: Aws) -> str:
    """Give a table whose lease the new region holds, in epoch 1."""
    name = read_deployment("dev").lease_table
    client = aws.client("dynamodb", REGION)
    if name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "lease", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lease", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    Table(name, [REGION], aws.url).call(Found(REGION))
    return name

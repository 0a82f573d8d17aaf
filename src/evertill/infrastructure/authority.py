"""The table of the write lease: which region may commit payments, agreed upon by three regions.

It is separate because it is the only thing here that no single region's loss may touch. Decision
0013 says why it is a strongly consistent global table with a witness.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from evertill.infrastructure.names import Names

LEASE_KEY: Final = "lease"


def build_lease_table(
    scope: Construct, names: Names, peer: str | None, witness: str | None
) -> dynamodb.TableV2:
    """Return the table; with a peer it is a global one, strongly consistent in both regions."""
    strong = dynamodb.MultiRegionConsistency.STRONG
    return dynamodb.TableV2(
        scope,
        "LeaseTable",
        table_name=names.lease_table,
        partition_key=dynamodb.Attribute(name=LEASE_KEY, type=dynamodb.AttributeType.STRING),
        # A few renewals a second: there is no capacity to be planned, or to run out of.
        billing=dynamodb.Billing.on_demand(),
        # AWS's own key for DynamoDB: the lease holds no secret, and it must not be lost with a key
        # of one region. No time to live, which a strongly consistent table does not have.
        encryption=dynamodb.TableEncryptionV2.aws_managed_key(),
        replicas=None if peer is None else [dynamodb.ReplicaTableProps(region=peer)],
        witness_region=None if peer is None else witness,
        multi_region_consistency=None if peer is None else strong,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=True,
        removal_policy=RemovalPolicy.RETAIN,
    )

"""What tasks and the function may do, one statement each, so that both say it in the same words.

They are apart from `compute` and `validation` because a right that is written twice will differ.
Whoever holds a task can add to the log and publish; he cannot read, replace or delete.
"""

from __future__ import annotations

from aws_cdk import aws_iam as iam

from evertill.infrastructure.stacks import DataStack


def log_in(data: DataStack, user: str) -> iam.PolicyStatement:
    """Let the role log in to the region's database as `user`."""
    login = data.names.arn("rds-db", f"dbuser:{data.database.resource_id}/{user}")
    return iam.PolicyStatement(sid="LogIn", actions=["rds-db:connect"], resources=[login])


def add_to_log(data: DataStack) -> tuple[iam.PolicyStatement, ...]:
    """Let the role put objects into the transaction log, and encrypt them on the way."""
    return (
        iam.PolicyStatement(
            sid="AddToLog",
            actions=["s3:PutObject"],
            resources=[data.log_bucket.arn_for_objects("*")],
        ),
        _use_key(data, "EncryptLog", ["kms:GenerateDataKey"], "s3"),
    )


def publish_events(data: DataStack) -> tuple[iam.PolicyStatement, ...]:
    """Let the role publish payments' events; an encrypted topic asks its publisher for both.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    return (
        iam.PolicyStatement(
            sid="PublishEvents", actions=["sns:Publish"], resources=[data.events.topic_arn]
        ),
        _use_key(data, "EncryptEvents", ["kms:Decrypt", "kms:GenerateDataKey"], "sns"),
    )


def hold_lease(data: DataStack) -> iam.PolicyStatement:
    """Let the role read the write lease and renew it under a condition, in either region.

    The other region's copy is for when this region's endpoint does not answer. Nobody deletes one.
    """
    names = data.names
    table = f"table/{names.lease_table}"
    regions = [region.name for region in data.settings.regions]
    return iam.PolicyStatement(
        sid="HoldLease",
        actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        resources=[names.arn("dynamodb", table, region) for region in regions],
    )


def _use_key(data: DataStack, sid: str, actions: list[str], service: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        actions=actions,
        resources=[data.key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"{service}.{data.place}.amazonaws.com"}},
    )

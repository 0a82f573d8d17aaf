"""The lease in a DynamoDB global table with multi-Region strong consistency.

It is separate because it is the only part that knows DynamoDB. Calls go to the region's own
replica, else to another region's: a replica that is cut off from the two others answers neither
reads nor writes, and then nobody here may write. Such a table has no transactions and no time to
live, and a write may meet one of another region, which is tried again:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from evertill.authority.lease import Answer, Ask, Found, Lease, Look, Refused, Renew, Take
from evertill.domain.errors import EvertillError

KEY: Final = {"lease": {"S": "write"}}
# A renewal that takes longer than this is worth less than one that is asked for anew.
CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 1.0
CONFLICTS_MAX: Final = 5
CONDITION_FAILED: Final = "ConditionalCheckFailedException"
CONFLICT: Final = "ReplicatedWriteConflictException"

# `region` and `counter` are reserved words of DynamoDB's expressions.
NAMES: Final = {"#region": "region", "#epoch": "epoch", "#counter": "counter"}
COUNT: Final = "SET #counter = #counter + :one"
CHANGE: Final = "SET #region = :region, #epoch = :epoch, #counter = :counter"


class LeaseUnreachable(EvertillError):
    """No region's replica of the lease's table answers."""

    code = "lease_unreachable"


class LeaseMalformed(EvertillError):
    """The lease's table holds something that is no lease."""

    code = "lease_malformed"


class Table:
    """The table `name`, as the replicas in `regions` answer for it, the nearest first."""

    def __init__(self, name: str, regions: Sequence[str], endpoint_url: str = "") -> None:
        """Call with the credentials of the environment."""
        # Only who shares the lease pays for loading the SDK: it takes a third of a second.
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 1},
        )
        self._name: Final = name
        self._failures: Final = (BotoCoreError, ClientError)
        self._clients: Final = [
            boto3.client(
                "dynamodb", region_name=region, endpoint_url=endpoint_url or None, config=config
            )
            for region in regions
        ]

    def call(self, ask: Ask) -> Answer:
        """Return what the table says, by any replica; raise LeaseUnreachable when none answers.

        Then it is not known whether the call was carried out. Nor is it, strictly, when a later
        replica refuses what an earlier one may have done: a look tells.
        """
        failures = []
        for client in self._clients:
            try:
                return self._call(client, ask)
            except self._failures as failure:
                failures.append(f"{client.meta.region_name}: {failure}")
        raise LeaseUnreachable(f"The write lease cannot be reached. {'; '.join(failures)}")

    def _call(self, client: Any, ask: Ask) -> Answer:  # noqa: ANN401 - the SDK has no types
        for conflicts_left in reversed(range(CONFLICTS_MAX)):
            try:
                return self._call_once(client, ask)
            except self._failures as failure:
                code = _code(failure)
                if code == CONDITION_FAILED:
                    return Refused()
                if code != CONFLICT or not conflicts_left:
                    raise
        raise AssertionError

    def _call_once(self, client: Any, ask: Ask) -> Answer:  # noqa: ANN401 - the SDK has no types
        if isinstance(ask, Look):
            answer = client.get_item(TableName=self._name, Key=KEY, ConsistentRead=True)
            return _read(answer["Item"]) if "Item" in answer else Refused()
        answer = client.update_item(
            TableName=self._name, Key=KEY, ReturnValues="ALL_NEW", **_expressions(ask)
        )
        return _read(answer["Attributes"])


def _expressions(ask: Found | Renew | Take) -> dict[str, object]:
    match ask:
        case Found():
            return _change(CHANGE, "attribute_not_exists(#region)", _values(ask.made))
        case Renew(region, epoch):
            condition = "#region = :region AND #epoch = :epoch"
            values = {":region": {"S": region}, ":epoch": {"N": str(epoch)}, ":one": {"N": "1"}}
            return _change(COUNT, condition, values)
        case Take():
            condition = "#region = :old_region AND #epoch = :old_epoch AND #counter = :old_counter"
            return _change(CHANGE, condition, _values(ask.made) | _values(ask.seen, "old_"))


def _change(update: str, condition: str, values: dict[str, dict[str, str]]) -> dict[str, object]:
    return {
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": NAMES,
        "ExpressionAttributeValues": values,
    }


def _values(lease: Lease, prefix: str = "") -> dict[str, dict[str, str]]:
    return {
        f":{prefix}region": {"S": lease.region},
        f":{prefix}epoch": {"N": str(lease.epoch)},
        f":{prefix}counter": {"N": str(lease.counter)},
    }


def _read(item: dict[str, Any]) -> Lease:
    try:
        return Lease(item["region"]["S"], int(item["epoch"]["N"]), int(item["counter"]["N"]))
    except (KeyError, ValueError) as failure:
        raise LeaseMalformed from failure


def _code(failure: Exception) -> str:
    response = getattr(failure, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))

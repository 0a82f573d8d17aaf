"""DynamoDB: the emulator's tables, and global tables with strong consistency across regions.

A strongly consistent global table has three members: replicas, and a witness that only votes. A
write, or a strongly consistent read, needs two of the three, so a region that is cut off from both
others can do neither, and what it answered before is true everywhere. Here one emulator that no
region's loss touches holds the items once, which makes every answer the latest; what the regions
have of their own is the way to it, and it is asked over the links each time (ADR 0047).
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import SCOPE, Answer, Endpoint, Request
from evertill.twin.links import Links
from evertill.twin.plan.storage import TableSpec

# Two members of three: the region's own, and one other.
OTHERS_NEEDED: Final = 1
# The SDK gives up on an answer later than this; a cut member is not waited for longer.
TIMEOUT_S: Final = 5.0
# The emulator keeps tables by region; the one that all regions share is in this one.
SHARED_REGION: Final = "us-east-1"
SERVER_ERROR: Final = 500
WRITES: Final = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "ExecuteStatement"}
READS: Final = {"GetItem", "Query", "Scan", "BatchGetItem"}
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
REFUSED: Final = {"TransactWriteItems", "TransactGetItems", "UpdateTimeToLive", "DeleteTable"}


class Ledger(Protocol):
    """What keeps the items of global tables over a kill of the emulator."""

    async def save(self, table: str) -> None:
        """Write the table down before its change is answered."""


class Tables:
    """The tables of one region; those in `specs` that are strong are answered over `links`."""

    def __init__(
        self,
        region: str,
        relay: Endpoint,
        shared: Endpoint,
        *,
        specs: Iterable[TableSpec],
        links: Links,
        ledger: Ledger,
        is_up: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Pass on to `relay`, and to `shared` for global tables; `is_up` tells of lost regions."""
        self._region: Final = region
        self._relay: Final = relay
        self._shared: Final = shared
        self._links: Final = links
        self._ledger: Final = ledger
        self._is_up: Final = is_up
        self._tables: Final = {
            spec.name: spec for spec in specs if spec.is_strong and region in spec.regions
        }

    async def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        document = _document(request)
        spec = self._tables.get(_table_of(document))
        operation = request.operation()
        if spec is None:
            answer = await self._relay(request)
            return _listed(answer, self._tables) if operation == "ListTables" else answer
        if operation in REFUSED:
            message = f"{operation} is not supported for a table with strong consistency."
            raise ApiError("ValidationException", message)
        if operation in WRITES:
            return await self._write(request, spec)
        if operation in READS and _is_strong(document):
            await self._reach(spec)
        answer = await self._shared(_in_region(request, SHARED_REGION))
        return _described(answer, spec, self._region) if operation == "DescribeTable" else answer

    async def _write(self, request: Request, spec: TableSpec) -> Answer:
        """Change items where two members agree, and write that down before it is told."""
        await self._reach(spec)
        answer = await self._shared(_in_region(request, SHARED_REGION))
        if answer.is_success:
            await self._ledger.save(spec.name)
        if not self._reachable(spec):
            # The link was cut meanwhile: it may be done, and nobody here can tell.
            raise self._unreachable(spec)
        return answer

    async def _reach(self, spec: TableSpec) -> None:
        """Take as long as the nearest other member's answer does; raise ApiError without one."""
        ways = self._reachable(spec)
        if not ways:
            await asyncio.sleep(TIMEOUT_S)
            raise self._unreachable(spec)
        delay_s = sorted(ways)[OTHERS_NEEDED - 1]
        if delay_s:
            await asyncio.sleep(delay_s)

    def _reachable(self, spec: TableSpec) -> list[float]:
        """Return how long each other member takes to answer, leaving out those that cannot."""
        found = []
        for member in (*spec.regions, *spec.witnesses):
            if member == self._region or not self._is_up(member):
                continue
            there = self._links.way(self._region, member)
            back = self._links.way(member, self._region)
            if not (there.is_cut or back.is_cut):
                found.append((there.delay_ms + back.delay_ms) / 1000)
        return found

    def _unreachable(self, spec: TableSpec) -> ApiError:
        message = f"{spec.name} in {self._region} reaches neither of its other regions."
        return ApiError("InternalServerError", message, SERVER_ERROR)


def _in_region(request: Request, region: str) -> Request:
    """Return the request as if it were signed for `region`."""
    headers = [
        (name, SCOPE.sub(rf"Credential=\1/\2/{region}/\4/aws4_request", text))
        if name == "authorization"
        else (name, text)
        for name, text in request.headers
    ]
    return msgspec.structs.replace(request, headers=tuple(headers))


def _document(request: Request) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(request.body or b"{}")
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _table_of(document: dict[str, Any]) -> str:
    """Return the table's name, which requests also give as an ARN, or as keys of a batch."""
    named = document.get("TableName")
    if named is None:
        batch = document.get("RequestItems")
        items = document.get("TransactItems")
        if isinstance(batch, dict) and batch:
            named = next(iter(batch))
        elif isinstance(items, list) and items and isinstance(items[0], dict):
            action: object = next(iter(items[0].values()), None)
            named = action.get("TableName") if isinstance(action, dict) else None
    return str(named).rpartition("/")[2]


def _is_strong(document: dict[str, Any]) -> bool:
    batch = document.get("RequestItems")
    if isinstance(batch, dict):
        return any(isinstance(item, dict) and item.get("ConsistentRead") for item in batch.values())
    return document.get("ConsistentRead") is True


def _described(answer: Answer, spec: TableSpec, region: str) -> Answer:
    """Add what a replica tells of the others to the description of the one table."""
    if not answer.is_success:
        return answer
    document = msgspec.json.decode(answer.body)
    table = document.get("Table", {})
    table["TableArn"] = ":".join(
        region if index == 3 else part  # noqa: PLR2004 - the region's place in an ARN
        for index, part in enumerate(str(table.get("TableArn", "")).split(":"))
    )
    table["MultiRegionConsistency"] = "STRONG"
    table["Replicas"] = [
        {"RegionName": name, "ReplicaStatus": "ACTIVE"} for name in spec.regions if name != region
    ]
    table["GlobalTableWitnesses"] = [
        {"RegionName": name, "WitnessStatus": "ACTIVE"} for name in spec.witnesses
    ]
    return _rewritten(answer, document)


def _listed(answer: Answer, more: Iterable[str]) -> Answer:
    """Add the global tables to those that the region has by itself."""
    if not answer.is_success:
        return answer
    document = msgspec.json.decode(answer.body)
    document["TableNames"] = sorted({*document.get("TableNames", []), *more})
    return _rewritten(answer, document)


def _rewritten(answer: Answer, document: object) -> Answer:
    """Return the answer with another body, which its checksum is not of."""
    headers = tuple(h for h in answer.headers if h[0] not in {"x-amz-crc32", "content-length"})
    return msgspec.structs.replace(answer, headers=headers, body=msgspec.json.encode(document))

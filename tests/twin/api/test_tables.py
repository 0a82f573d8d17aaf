"""The lease table: what two of three regions agree on is true everywhere, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.twin import api, ask, client, emulator, site_of_the_test

from evertill.twin.api import tables
from evertill.twin.api.relay import Relay
from evertill.twin.api.tables import Tables
from evertill.twin.links import OPEN, Links, Way
from evertill.twin.parts.global_tables import GlobalTables
from evertill.twin.plan.storage import TableSpec

EAST, OHIO, OREGON = "us-east-1", "us-east-2", "us-west-2"
CUT = Way(is_cut=True)
LEASE = TableSpec(
    regions=(EAST, OHIO),
    name="lease",
    keys=(("lease", "HASH"),),
    attributes=(("lease", "S"),),
    is_strong=True,
    witnesses=(OREGON,),
)


class Regions:
    """A client of the lease table in each region."""

    def __init__(self, links: Links, east: Any, ohio: Any) -> None:
        self.links = links
        self.east = east
        self.ohio = ohio

    def cut(self, region: str, *others: str) -> None:
        for other in others:
            self.links.set(region, other, CUT)

    def mend(self, region: str, *others: str) -> None:
        for other in others:
            self.links.set(region, other, OPEN)

    @staticmethod
    async def take(dynamodb: Any, holder: str, epoch: int) -> None:
        """Take the lease as its holder does: only when nobody was faster."""
        await ask(
            dynamodb.put_item,
            TableName="lease",
            Item={
                "lease": {"S": "writer"},
                "holder": {"S": holder},
                "epoch": {"N": str(epoch)},
            },
            ConditionExpression="attribute_not_exists(lease) OR epoch < :epoch",
            ExpressionAttributeValues={":epoch": {"N": str(epoch)}},
        )

    @staticmethod
    async def holder(dynamodb: Any, *, is_strong: bool = True) -> str:
        found = await ask(
            dynamodb.get_item,
            TableName="lease",
            Key={"lease": {"S": "writer"}},
            ConsistentRead=is_strong,
        )
        return str(found["Item"]["holder"]["S"])


@asynccontextmanager
async def regions(folder: Path) -> AsyncIterator[Regions]:
    links = Links({})
    with site_of_the_test() as site:
        async with emulator(folder, site, EAST) as part:
            shared = GlobalTables(part.url, folder / "tables", [LEASE])
            await shared.start()
            relay = Relay(part.url)
            sides = [
                Tables(region, relay, relay, specs=[LEASE], links=links, ledger=shared)
                for region in (EAST, OHIO)
            ]
            async with (
                api({"dynamodb": sides[0]}, site, EAST) as east,
                api({"dynamodb": sides[1]}, site, OHIO) as ohio,
            ):
                yield Regions(
                    links,
                    client("dynamodb", east.url, EAST),
                    client("dynamodb", ohio.url, OHIO),
                )
            await relay.close()


async def code_of(call: Any) -> str:
    with pytest.raises(ClientError) as refused:
        await call
    return str(refused.value.response["Error"]["Code"])


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TIMEOUT_S", 0.1)


def test_a_write_in_one_region_is_read_in_the_other_at_once(tmp_path: Path) -> None:
    async def story() -> tuple[str, str]:
        async with regions(tmp_path) as both:
            await both.take(both.east, "east", 1)
            held = await both.holder(both.ohio)
            too_late = await code_of(both.take(both.ohio, "ohio", 1))
            return held, too_late

    assert ("east", "ConditionalCheckFailedException") == asyncio.run(story())


def test_a_region_cut_from_both_others_neither_writes_nor_reads_strongly(tmp_path: Path) -> None:
    async def story() -> tuple[str, str, str, str]:
        async with regions(tmp_path) as both:
            await both.take(both.east, "east", 1)
            both.cut(EAST, OHIO, OREGON)
            refused = await code_of(both.take(both.east, "east", 2))
            unread = await code_of(both.holder(both.east))
            await both.take(both.ohio, "ohio", 2)
            held = await both.holder(both.ohio)
            both.mend(EAST, OHIO, OREGON)
            return refused, unread, held, await both.holder(both.east)

    error = "InternalServerError"
    assert (error, error, "ohio", "ohio") == asyncio.run(story())


@pytest.mark.parametrize("lost", [OHIO, OREGON])
def test_one_other_member_is_enough(tmp_path: Path, lost: str) -> None:
    async def story() -> str:
        async with regions(tmp_path) as both:
            both.cut(EAST, lost)
            await both.take(both.east, "east", 1)
            return await both.holder(both.east)

    assert "east" == asyncio.run(story())


def test_a_link_cut_one_way_counts_as_cut(tmp_path: Path) -> None:
    async def story() -> str:
        async with regions(tmp_path) as both:
            both.links.set(OHIO, EAST, CUT)
            both.links.set(OREGON, EAST, CUT)
            return await code_of(both.take(both.east, "east", 1))

    assert "InternalServerError" == asyncio.run(story())


def test_transactions_are_refused_as_aws_refuses_them(tmp_path: Path) -> None:
    async def story() -> tuple[str, list[str]]:
        async with regions(tmp_path) as both:
            put = {"TableName": "lease", "Item": {"lease": {"S": "x"}}}
            refused = await code_of(
                ask(both.east.transact_write_items, TransactItems=[{"Put": put}])
            )
            described = (await ask(both.ohio.describe_table, TableName="lease"))["Table"]
            assert ["lease"] == (await ask(both.ohio.list_tables))["TableNames"]
            return refused, [
                described["MultiRegionConsistency"],
                described["Replicas"][0]["RegionName"],
                described["GlobalTableWitnesses"][0]["RegionName"],
            ]

    assert ("ValidationException", ["STRONG", EAST, OREGON]) == asyncio.run(story())


def test_a_lease_outlives_an_emulator_that_is_killed(tmp_path: Path) -> None:
    async def take() -> None:
        async with regions(tmp_path) as both:
            await both.take(both.east, "east", 7)

    async def look() -> tuple[str, str]:
        async with regions(tmp_path) as both:
            return await both.holder(both.ohio), await code_of(both.take(both.ohio, "ohio", 7))

    asyncio.run(take())
    # The emulator's own copy is gone, as after a kill.
    for path in (tmp_path / EAST / "state").glob("dynamodb*"):
        path.unlink()
    assert ("east", "ConditionalCheckFailedException") == asyncio.run(look())


def test_without_the_witness_two_replicas_agree_until_they_lose_each_other_too(
    tmp_path: Path,
) -> None:
    async def story() -> tuple[str, str, str]:
        async with regions(tmp_path) as both:
            both.cut(OREGON, Links.ANY)
            both.cut(Links.ANY, OREGON)
            await both.take(both.east, "east", 1)
            held = await both.holder(both.ohio)
            both.cut(EAST, OHIO)
            refused = await code_of(both.take(both.ohio, "ohio", 2))
            both.mend(OREGON, Links.ANY)
            both.mend(Links.ANY, OREGON)
            await both.take(both.ohio, "ohio", 2)
            return held, refused, await both.holder(both.east)

    assert ("east", "InternalServerError", "ohio") == asyncio.run(story())

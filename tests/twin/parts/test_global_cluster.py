"""Two regions: what is replicated, what a planned change keeps, and what a lost region loses."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.databases import (
    REGIONS,
    databases,
    running,
    until,
    until_complete,
    until_silent,
)
from tests.support.regions import EAST, WEST, regions_of, two_regions

from evertill.twin.links import OPEN, Way
from evertill.twin.parts.global_cluster import NotAMember, WrongState
from evertill.twin.parts.rpo_guard import PARAMETER


def test_a_switchover_under_load_loses_nothing_and_turns_the_replication_around() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            assert scene.west.writer_peer() is None
            scene.group.switch_over(scene.west)
            with pytest.raises(WrongState):
                scene.group.fail_over(scene.west)
            await scene.until_done()
            assert scene.group.primary is scene.west
            await scene.load.until_more(50)
            assert scene.east.writer_peer() is None
            await until_complete(scene.west)
            await until_complete(scene.east)
            assert set() == await scene.missing(scene.west)
            scene.group.switch_over(scene.east)
            await scene.until_done()
            await scene.load.until_more(50)
            assert scene.group.primary is scene.east
            assert set() == await scene.missing(scene.east)

    asyncio.run(story())


def test_a_standby_follows_the_region_through_a_failover_of_its_writer() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            old = scene.east.writer
            assert old is not None
            await old.kill()
            await until(lambda: scene.east.writer is not old, "a failover")
            await scene.load.until_more(50)
            await until_complete(scene.west)
            await until(lambda: scene.group.lag_s(scene.west) == 0.0, "the standby to catch up")
            scene.group.switch_over(scene.west)
            await scene.until_done()
            assert set() == await scene.missing(scene.west)

    asyncio.run(story())


def test_lag_grows_while_the_link_is_cut_and_what_was_not_received_is_lost() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.cut(Way(is_cut=True))
            await scene.load.until_more(100)
            await until(lambda: scene.group.lag_s(scene.west) > 3.0, "the lag to grow")
            await scene.east.hold(*REGIONS[EAST])
            scene.group.fail_over(scene.west)
            await scene.until_done()
            assert scene.group.primary is scene.west
            lost = await scene.missing(scene.west)
            assert lost
            # What is missing is the end of the history and nothing in its midst.
            assert min(lost) > min(scene.load.acknowledged)
            await scene.load.until_more(50)
            assert lost == await scene.missing(scene.west)

    asyncio.run(story())


def test_an_old_primary_that_returns_is_kept_as_a_snapshot_and_follows() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.cut(Way(is_cut=True))
            await scene.load.until_more(50)
            await scene.east.hold(*REGIONS[EAST])
            scene.group.fail_over(scene.west)
            await scene.until_done()
            await scene.load.until_more(50)
            scene.east.release(*REGIONS[EAST])
            assert scene.east.writer_peer() is None
            scene.cut(OPEN)
            await until(lambda: not scene.group.abandoned, "the old primary to be taken back")
            await until_complete(scene.east)
            kept = scene.group.snapshots.of(EAST)
            assert ["automated"] == [snapshot.kind for snapshot in kept]
            assert kept[0].identifier.startswith("rds:unplanned-global-failover-db-")
            await until(lambda: scene.group.lag_s(scene.east) == 0.0, "it to catch up")
            scene.group.switch_over(scene.east)
            await scene.until_done()
            assert scene.group.primary is scene.east
            await scene.load.until_more(20)

    asyncio.run(story())


def test_a_primary_that_cannot_be_reached_writes_on_until_it_can() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.cut(Way(is_cut=True))
            scene.group.fail_over(scene.west)
            await scene.until_done()
            assert scene.east.writer_peer() is not None
            scene.cut(OPEN)
            await until(lambda: scene.east.writer_peer() is None, "the old primary to be fenced")
            await until_complete(scene.east)

    asyncio.run(story())


def test_a_primary_that_was_given_up_and_cannot_be_reached_is_held_by_its_guard() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.east.set_parameters({PARAMETER: "5"})
            scene.cut(Way(is_cut=True))
            scene.group.fail_over(scene.west)
            await scene.until_done()
            await until(lambda: "nobody" in scene.east.quorum, "the guard to be set")
            assert "" == scene.west.quorum

    asyncio.run(story())


def test_the_guard_makes_commits_wait_and_never_fail_until_the_standby_has_caught_up() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.east.set_parameters({PARAMETER: "5"})
            scene.cut(Way(is_cut=True))
            await until(lambda: scene.east.quorum != "", "the guard to be set")
            await until_silent(scene.load)
            failed = len(scene.load.unknown)
            scene.cut(OPEN)
            await until(lambda: scene.east.quorum == "", "the guard to be lifted")
            await scene.load.until_more(50)
            assert failed == len(scene.load.unknown)

    asyncio.run(story())


def test_lifting_the_guard_lets_payments_go_on_without_a_standby() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            scene.east.set_parameters({PARAMETER: "5"})
            await scene.west.hold(*REGIONS[WEST])
            await until(lambda: scene.east.quorum != "", "the guard to be set")
            scene.east.set_parameters({})
            await scene.load.until_more(50)

    asyncio.run(story())


def test_a_detached_secondary_writes_for_itself() -> None:
    async def story() -> None:
        async with two_regions() as scene:
            await scene.group.remove(scene.west)
            assert scene.west.writer_peer() is not None
            assert [scene.east] == scene.group.members
            with pytest.raises(NotAMember):
                scene.group.fail_over(scene.west)
            await scene.load.until_more(20)

    asyncio.run(story())


def test_roles_survive_a_stop_and_a_start() -> None:
    async def story() -> None:
        async with databases() as made:
            group, east, west = regions_of(made)
            async with running(east, west):
                await group.start()
                await until_complete(east)
                await until_complete(west)
                group.switch_over(west)
                await until(lambda: group.change is None)
                await until_complete(east)
                await group.stop()
            group, east, west = regions_of(made)
            assert group.primary is west
            async with running(west, east):
                await until_complete(east)
                await until_complete(west)

    asyncio.run(story())

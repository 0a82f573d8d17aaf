"""A service keeps its tasks up as ECS does: zones, replacement, releases, rollback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.twin.services import Stage, asked, service_spec, stage, web
from tests.twin.tasks import PORT, WEB, ZONES, until

from evertill.twin.parts.deployment import COMPLETED, FAILED
from evertill.twin.plan.services import Rollout, ServiceSpec

# It listens, and answers 503 to whoever asks for its health.
SICK = WEB.replace("? 200", "? 503")


def told(folder: Path, spec: ServiceSpec, story: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with stage(folder, spec) as found:
            await story(found)

    asyncio.run(run())


def revisions(found: Stage) -> list[int]:
    return sorted(task.spec.revision for task in found.service.running)


def test_tasks_are_spread_over_the_zones_and_dead_ones_are_replaced(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        assert list(ZONES) == found.zones()
        dead = found.service.running[0]
        await dead.kill()
        await until(lambda: found.service.crew.get(dead.id) is None, "the end of the dead task")
        await until(lambda: len(found.service.running) == 3, "a replacement")
        await found.steady()
        assert list(ZONES) == found.zones()
        assert [{"web": 137}] == [task.exit_codes for task in found.service.crew.stopped]

    told(tmp_path, service_spec(), story)


def test_a_task_that_hangs_is_replaced_before_it_is_stopped(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        hung = found.service.running[0]
        hung.freeze()
        await until(lambda: len(found.service.running) == 4, "a replacement beside the hung task")
        await until(lambda: len(found.service.running) == 3, "the end of the hung task")
        await found.steady()
        assert hung not in found.service.running
        await until(lambda: hung.exit_codes == {"web": 137}, "its kill after the stop timeout")

    hanging = web(stop_timeout_s=0.5)
    told(tmp_path, service_spec(task=hanging, grace_period_s=0.5), story)


def test_when_a_zone_is_lost_the_others_take_over_and_it_is_filled_again(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        await found.service.lose_zone(ZONES[0])
        await until(
            lambda: (
                found.zones() == sorted(ZONES[1:] * 2)[:3]
                or (len(found.zones()) == 3 and ZONES[0] not in found.zones())
            ),
            "other zones",
        )
        await found.steady()
        assert ZONES[0] not in found.zones()
        found.service.restore_zone(ZONES[0])
        await until(lambda: found.zones() == list(ZONES), "an even spread")
        await found.steady()

    told(tmp_path, service_spec(is_rebalanced=True), story)


def test_a_release_replaces_all_tasks_and_never_leaves_too_few_healthy(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        fewest = 3
        found.service.deploy(web(2))
        while revisions(found) != [2, 2, 2] or not found.service.is_steady:
            answered = await asyncio.gather(
                *(serves(task.address) for task in found.service.running)
            )
            fewest = min(fewest, sum(answered))
            await asyncio.sleep(0.02)
        assert fewest >= 3
        assert COMPLETED == found.service.primary.state
        await until(lambda: len(found.group.gone) == 3, "the end of every old target's draining")

    told(tmp_path, service_spec(), story)


async def reached(found: Stage, count: int) -> None:
    await until(lambda: len(found.service.running) == count, f"{count} tasks")


async def serves(address: str) -> bool:
    return await asyncio.to_thread(asked, address, PORT, "/health") == 200


def test_a_release_that_crashes_trips_the_breaker_and_is_rolled_back(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        before = set(found.service.running)
        found.service.deploy(web(2, "process.exit(1)"))
        await until(lambda: "deployment.failed" in found.kinds(), "a failed deployment")
        await until(lambda: found.service.primary.state == COMPLETED, "a rollback")
        assert [FAILED, COMPLETED] == [one.state for one in found.service.deployments]
        assert "circuit breaker" in found.service.deployments[0].reason
        assert before <= set(found.service.running), "the old tasks were kept all the time"

    told(tmp_path, service_spec(), story)


def test_a_release_whose_health_check_never_passes_is_rolled_back(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        found.service.deploy(web(2, SICK))
        await until(lambda: "deployment.failed" in found.kinds(), "a failed deployment")
        await until(lambda: revisions(found) == [1, 1, 1], "the earlier release alone")

    told(tmp_path, service_spec(grace_period_s=0.5), story)


def test_without_a_breaker_a_check_that_can_never_pass_goes_on_for_ever(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await until(lambda: len(found.service.crew.stopped) >= 3, "several replacements")
        assert not found.service.is_steady
        assert "deployment.failed" not in found.kinds()

    spec = service_spec(1, task=web(1, SICK), grace_period_s=0.3, rollout=Rollout())
    told(tmp_path, spec, story)


def test_a_first_release_that_fails_stops_starting_tasks(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await until(lambda: found.service.primary.state == FAILED, "a failed deployment")
        await until(lambda: len(found.service.crew) == 0, "the end of its tasks")
        assert 1 == len(found.service.deployments)

    told(tmp_path, service_spec(1, task=web(1, "process.exit(1)")), story)


def test_an_alarm_that_begins_to_ring_during_a_release_rolls_it_back(tmp_path: Path) -> None:
    rollout = Rollout(alarms=("errors",), alarms_roll_back=True, bake_s=600)

    async def story(found: Stage) -> None:
        await found.steady()
        found.service.deploy(web(2))
        await until(lambda: revisions(found) == [2, 2, 2], "the new release")
        assert "IN_PROGRESS" == found.service.primary.state, "it bakes"
        found.ringing.add("errors")
        await until(lambda: revisions(found) == [1, 1, 1], "the earlier release")
        assert FAILED == found.service.deployments[0].state

    told(tmp_path, service_spec(rollout=rollout), story)


def test_an_alarm_that_rings_before_a_release_says_nothing_about_it(tmp_path: Path) -> None:
    rollout = Rollout(alarms=("errors",), alarms_roll_back=True, bake_s=600)

    async def story(found: Stage) -> None:
        await found.steady()
        found.ringing.add("errors")
        found.service.deploy(web(2))
        await until(lambda: found.service.primary.state == COMPLETED, "a complete deployment")
        assert [2, 2, 2] == revisions(found)

    told(tmp_path, service_spec(rollout=rollout), story)


def test_the_count_follows_what_is_wanted_up_and_down(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        for count in (5, 2, 0):
            found.service.set_count(count)
            await reached(found, count)
            await found.steady()

    told(tmp_path, service_spec(), story)


def test_a_cap_holds_whatever_is_wanted(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        found.service.set_count(10)
        await found.steady()
        assert 2 == len(found.service.running)

    told(tmp_path, service_spec(count_max=2), story)


def test_a_service_that_is_stopped_leaves_no_process(tmp_path: Path) -> None:
    async def story(found: Stage) -> None:
        await found.steady()
        await found.service.stop()
        assert [] == list(found.bench.processes.running())

    told(tmp_path, service_spec(), story)

"""An assembly that is not ours starts behind its load balancers, with the fault that it has."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.twin.tasks import Around, Bench, bench, until

from evertill.twin.addresses import local_port
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.metrics import MetricStore
from evertill.twin.parts.balancer import Balancer
from evertill.twin.parts.scaling import Scaling, readings_of
from evertill.twin.parts.service import Service
from evertill.twin.parts.target_group import TargetGroup
from evertill.twin.plan.groups import SecurityGroups
from evertill.twin.plan.plan import Plan, plan_of

FOREIGN = Path(__file__).parent / "assemblies" / "foreign"


class AnySecret(Around):
    """Every secret is there; what it holds does not matter to these containers."""

    async def secret(self, region: str, value_from: str) -> str:
        return f"{region} {value_from}"

    def environment(self, region: str, role: str, task: str) -> Mapping[str, str]:
        del region, role, task
        return {}


class Region:
    """A region's service behind its load balancer, wired from the plan."""

    def __init__(self, plan: Plan, region: str, tools: Bench) -> None:
        timeline, metrics = Timeline(tools.clock), MetricStore(tools.clock)
        groups = {
            spec.arn: TargetGroup(spec, tools.clock, timeline)
            for spec in plan.balancing.groups
            if spec.arn.split(":")[3] == region
        }
        (spec,) = [item for item in plan.balancing.balancers if item.region == region]
        self.group = next(iter(groups.values()))
        self.balancer = Balancer(
            spec,
            groups,
            addresses={zone: plan.addresses.take(zone, spec.name) for zone in spec.zones},
            certify=lambda _: b"",
            bridges={},
            may_connect=SecurityGroups(plan.model).may_connect,
            detour=None,
            clock=tools.clock,
            links=Links(plan.places.region_of_zones()),
            timeline=timeline,
            metrics=metrics,
            processes=tools.processes,
            folder=tools.folder / region / "balancer",
        )
        (service,) = [item for item in plan.services if item.region == region]
        (scaling,) = [item for item in plan.scaling if item.service is service]
        self.service = Service(
            service,
            tools.tools,
            tools.folder / region / "tasks",
            addresses=plan.addresses,
            target_groups=groups,
            rings=lambda _: False,
            timeline=timeline,
        )
        self.scaling = Scaling(scaling, self.service, readings_of(metrics), tools.clock, timeline)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        parts = (self.balancer, self.service, self.scaling)
        for part in parts:
            await part.start()
        try:
            yield
        finally:
            for part in reversed(parts):
                await part.stop()
            await self.group.close()

    def states(self) -> list[str]:
        return [target["state"] for target in self.group.status()["targets"]]

    async def page(self, path: str) -> tuple[int, str]:
        zone = self.balancer.spec.zones[0]
        url = f"http://{self.balancer.node(zone).address}:{local_port(80)}{path}"
        return await asyncio.to_thread(_page, url)


def _page(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_region_serves_and_one_whose_check_can_never_pass_has_no_healthy_target(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with bench(tmp_path, 30, AnySecret()) as tools:
            plan = plan_of(FOREIGN, site=tools.site)
            tools.tools.programs.prepare(plan.images())
            first = Region(plan, "us-east-1", tools)
            second = Region(plan, "us-west-2", tools)
            async with first.running(), second.running():
                await until(lambda: first.service.is_steady, "the first region")
                assert ["healthy", "healthy"] == first.states()
                status, text = await first.page("/health")
                assert 200 == status
                assert '"region":"us-east-1"' in text
                assert 201 == (await first.page("/orders"))[0]
                assert 404 == (await first.page("/nowhere"))[0]
                await until(lambda: second.states() == ["unhealthy"] * 2, "the second's fault")
                assert not second.service.is_steady
                zones = [task.zone for task in first.service.running]
                assert ["us-east-1a", "us-east-1b"] == sorted(zones)

    asyncio.run(run())

"""An assembly that is not ours starts, and shows the fault that it has and no other."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path

from tests.twin.services import AskingGroup
from tests.twin.tasks import Around, bench, until

from evertill.twin.addresses import Addresses
from evertill.twin.events import Timeline
from evertill.twin.parts.scaling import Scaling
from evertill.twin.parts.service import Service
from evertill.twin.plan.plan import plan_of

FOREIGN = Path(__file__).parent / "assemblies" / "foreign"
PORT = 3000


class AnySecret(Around):
    """Every secret is there; what it holds does not matter to these containers."""

    async def secret(self, region: str, value_from: str) -> str:
        return f"{region} {value_from}"

    def environment(self, region: str, role: str, task: str) -> dict[str, str]:
        del region, role, task
        return {}


def test_a_region_serves_and_one_whose_check_can_never_pass_has_no_healthy_target(
    tmp_path: Path,
) -> None:
    plan = plan_of(FOREIGN)

    async def run() -> None:
        async with bench(tmp_path, 30, AnySecret()) as tools, AsyncExitStack() as stack:
            tools.tools.programs.prepare(plan.images())
            addresses = Addresses(tools.site, plan.places.regions)
            services: list[Service] = []
            groups: list[AskingGroup] = []
            for spec, scaling in zip(plan.services, plan.scaling, strict=True):
                arn = spec.attachments[0].target_group
                path = "/health" if spec.region == "us-east-1" else "/healthz"
                groups.append(AskingGroup(tools.clock, path))
                stack.push_async_callback(groups[-1].close)
                timeline = Timeline(tools.clock)
                services.append(
                    Service(
                        spec,
                        tools.tools,
                        tmp_path / spec.region,
                        addresses=addresses,
                        target_groups={arn: groups[-1]},
                        rings=lambda _: False,
                        timeline=timeline,
                    )
                )
                scales = Scaling(scaling, services[-1], lambda *_: [], tools.clock, timeline)
                await services[-1].start()
                stack.push_async_callback(services[-1].stop)
                await scales.start()
                stack.push_async_callback(scales.stop)
            first, second = services
            await until(lambda: first.is_steady, "the first region")
            await until(lambda: states(groups[1]) == ["unhealthy"] * 2, "the second's fault")
            assert ["us-east-1a", "us-east-1b"] == sorted(task.zone for task in first.running)
            assert not second.is_steady
            told = await asyncio.to_thread(page, first.running[0].address)
            assert ("ok", "us-east-1") == (told["status"], told["region"])
            hosts = [gate.host for gate in plan.database_gates if gate.role == "writer"]
            assert told["database"] in hosts

    asyncio.run(run())


def states(group: AskingGroup) -> list[str]:
    return [found.state for found in group.found.values()]


def page(address: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://{address}:{PORT}/health", timeout=10) as answer:
        found: dict[str, str] = json.loads(answer.read())
        return found

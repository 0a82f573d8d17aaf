"""What the tests of services share: a real service, and target groups that really ask."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.twin.tasks import PORT, REGION, WEB, ZONES, Bench, bench, container, definition, until

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.parts.runner import Runner
from evertill.twin.parts.service import Service
from evertill.twin.plan.services import Attachment, Rollout, ServiceSpec
from evertill.twin.plan.tasks import ContainerSpec, TaskSpec

ASK_TIMEOUT_S = 0.5
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/1"


@dataclass
class Found:
    state: str = "initial"


class AskingGroup:
    """Targets that are asked for a path every few twin seconds, as a load balancer does."""

    def __init__(self, clock: Clock, path: str = "/health", drain_s: float = 1.0) -> None:
        self.clock = clock
        self.path = path
        self.drain_s = drain_s
        self.found: dict[tuple[str, int], Found] = {}
        self.gone: list[str] = []
        self._asking = asyncio.create_task(self._ask_all())

    def register(self, host: str, port: int, zone: str, groups: Sequence[Any] = ()) -> None:
        del zone, groups
        self.found[host, port] = Found()

    async def deregister(self, host: str, port: int) -> None:
        self.found.pop((host, port), None)
        await self.clock.sleep(self.drain_s)
        self.gone.append(host)

    def health(self, host: str, port: int) -> Found:
        return self.found.get((host, port), Found("unused"))

    async def close(self) -> None:
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask_all(self) -> None:
        while True:
            await asyncio.gather(*(self._ask(*key) for key in list(self.found)))
            await self.clock.sleep(5)

    async def _ask(self, host: str, port: int) -> None:
        status = await asyncio.to_thread(asked, host, port, self.path)
        if (host, port) in self.found:
            self.found[host, port].state = "healthy" if status == 200 else "unhealthy"


def asked(host: str, port: int, path: str) -> int:
    """Return the status of an answer, 0 without one."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@dataclass
class Stage:
    """A service on its bench."""

    service: Service
    group: AskingGroup
    timeline: Timeline
    bench: Bench
    ringing: set[str]
    runner: Runner

    def kinds(self) -> list[str]:
        return [event.kind for event in self.timeline.kept()]

    async def steady(self) -> None:
        await until(lambda: self.service.is_steady, "a steady state")

    def zones(self) -> list[str]:
        return sorted(task.zone for task in self.service.running)


def web(revision: int = 1, script: str = WEB, **fields: Any) -> TaskSpec:
    """Return a definition that serves, told apart by its revision."""
    spec: ContainerSpec = container(
        "node", "-e", script, environment={"GREETING": str(revision)}, **fields
    )
    return definition(spec, revision=revision)


def service_spec(count: int = 3, **fields: Any) -> ServiceSpec:
    """Return a service of node containers in three zones, behind a target group."""
    given: dict[str, Any] = {
        "name": "web",
        "region": REGION,
        "account": "123456789012",
        "cluster": "main",
        "task": web(),
        "zones": ZONES,
        "count": count,
        "attachments": (Attachment(GROUP, "web", PORT),),
        "grace_period_s": 8.0,
        "rollout": Rollout(has_breaker=True, rolls_back=True),
        "has_insights": True,
    }
    return ServiceSpec(**{**given, **fields})


@asynccontextmanager
async def stage(folder: Path, spec: ServiceSpec, speed: float = 30.0) -> AsyncIterator[Stage]:
    """Start the service of `spec`."""
    async with bench(folder, speed) as tools:
        group = AskingGroup(tools.clock)
        timeline = Timeline(tools.clock)
        ringing: set[str] = set()
        service = Service(
            spec,
            tools.tools,
            folder / "tasks",
            addresses=tools.addresses,
            target_groups={GROUP: group},
            rings=ringing.__contains__,
            timeline=timeline,
        )
        runner = Runner(
            REGION,
            tools.tools,
            folder / "once",
            addresses=tools.addresses,
            timeline=timeline,
        )
        await service.start()
        try:
            yield Stage(service, group, timeline, tools, ringing, runner)
        finally:
            await runner.stop()
            await service.stop()
            await group.close()

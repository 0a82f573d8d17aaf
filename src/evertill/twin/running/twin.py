"""The whole twin: all parts of a plan, started in the order in which they need each other.

    identities, emulators, APIs -> databases -> one-off tasks -> load balancers, services -> DNS

A part that fails to start stops the others again, in reverse. Nothing outlives the twin: what a
killed one left running is ended by the next, from its record.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from evertill.twin.api.handled import Handled
from evertill.twin.api.route53 import Dns
from evertill.twin.api.server import ApiServer
from evertill.twin.errors import TwinError
from evertill.twin.part import Part
from evertill.twin.parts.aws_region import AwsGlobal, AwsRegion
from evertill.twin.parts.balancer_names import BalancerNames
from evertill.twin.parts.checks import Checks
from evertill.twin.parts.detours import Detours
from evertill.twin.parts.dns_client import DnsClient
from evertill.twin.parts.dns_server import DnsServer
from evertill.twin.parts.front_door import FrontDoor
from evertill.twin.parts.health_checker import HealthChecker
from evertill.twin.parts.hosted_zones import HostedZones
from evertill.twin.parts.programs import Programs
from evertill.twin.parts.surroundings import Around
from evertill.twin.parts.task import STOPPED, TaskTools
from evertill.twin.plan.doors import doors_of
from evertill.twin.plan.images import AUTHORITIES
from evertill.twin.plan.regional import region_plan, strong_tables
from evertill.twin.plan.services import LooseTask
from evertill.twin.running.databases import Databases
from evertill.twin.running.ground import Ground
from evertill.twin.running.outages import Outages
from evertill.twin.running.region import Region, api_url

# ACM's certificates are valid for 13 months and are renewed long before; these begin with a run.
CERTIFICATE_DAYS: Final = 395.0
DAY_S: Final = 86_400.0
TASK_TIMEOUT_S: Final = 120.0
ONCE_PAUSE_S: Final = 0.1
SCALE_VARIABLE: Final = "EVERTILL_TIME_SCALE"

Say = Callable[[str], None]


class TaskFailed(TwinError):
    """A one-off task did not succeed."""

    code = "task_failed"


class Twin:
    """A cloud assembly that runs on this machine."""

    def __init__(self, ground: Ground) -> None:
        """Put all parts together; nothing is started."""
        plan = ground.plan
        self.ground: Final = ground
        self.endpoints: Final = {region: api_url(ground, region) for region in plan.places.regions}
        scale = {SCALE_VARIABLE: str(ground.clock.speed)} if ground.clock.speed != 1 else {}
        self.around: Final = Around(
            self.endpoints,
            ground.identities.uri,
            {AUTHORITIES: ground.authorities},
            scale,
            ground.clocks.environment,
        )
        self._programs: Final = Programs(ground.folder / "programs")
        self._checks: Final = Checks(ground.processes, ground.folder)
        self.databases: Final = Databases(ground, self.around.secret)
        self._detours: Final = Detours(ground.clock, ground.links, ground.timeline)
        common = ground.common(lambda region: self.outages.is_up(region))  # noqa: PLW0108 - made below
        self.shared: Final = AwsGlobal(strong_tables(plan), common)
        self.regions: Final = {
            name: self._region(
                name,
                AwsRegion(
                    region_plan(plan, name),
                    common,
                    shared=self.shared,
                    variables=lambda role, name=name: self.around.environment(name, role, ""),  # type: ignore[misc] # bound now
                    days_left=lambda _: CERTIFICATE_DAYS - ground.clock.now_s() / DAY_S,
                ),
            )
            for name in plan.places.regions
        }
        self._dns()
        self._dns_control: list[Dns] = []
        self.apis: Final = {name: self._api(region) for name, region in self.regions.items()}
        self.outages: Final = Outages(
            self.regions,
            self.databases.clusters.values(),
            ground.links,
            self.apis,
            self._dns_control,
        )
        # Told by whoever runs it: where it is controlled, and the key of a demonstration.
        self.control_url = ""
        self.key: str | None = None
        self._started: list[Part] = []

    async def start(self, say: Say) -> None:
        """Start everything; raise PartFailed or TaskFailed, with all that was started stopped."""
        try:
            await self._start(say)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything, the last first; alarms before what they watch, which only ends."""
        self.outages.thaw_tasks()
        alarms = {id(region.aws.alarms) for region in self.regions.values()}
        self._started.sort(key=lambda part: id(part) in alarms)
        while self._started:
            part = self._started.pop()
            with contextlib.suppress(Exception):
                await part.stop()
        for relay in (self.shared.relay, *(region.aws.relay for region in self.regions.values())):
            await relay.close()
        await self._checks.stop()
        self.outages.close()
        await self.ground.processes.end_all()
        self.ground.close()

    def status(self) -> dict[str, Any]:
        """Return how every part is, by its name."""
        return {part.name: part.status() for part in self._started}

    async def _start(self, say: Say) -> None:
        plan = self.ground.plan
        await self.ground.clocks.prepare()
        say("Starting the AWS API of each region.")
        self._programs.prepare(plan.images())
        regions = self.regions.values()
        await self._in_order([self.ground.identities, self._detours, *self.shared.parts])
        await asyncio.gather(*(self._in_order(region.aws.parts) for region in regions))
        for region in regions:
            region.aws.copy_to([item.aws for item in regions])
        await self._all([copy for region in regions for copy in region.aws.copies])
        await self._all(self.apis.values())
        say("Starting the databases.")
        await self._in_order(self.databases.parts)
        await self._all([region.runner for region in regions])
        say("Running the one-off tasks.")
        await self._run_once()
        say("Starting load balancers and services.")
        await asyncio.gather(*(self._in_order(region.parts) for region in regions))
        await self._in_order(self._names)

    async def _in_order(self, parts: Iterable[Part]) -> None:
        for part in parts:
            await part.start()
            self._started.append(part)

    async def _all(self, parts: Iterable[Part]) -> None:
        await asyncio.gather(*(self._in_order([part]) for part in parts))

    async def _run_once(self) -> None:
        """Run what no service runs, such as migrations, where the database takes writes.

        On AWS whoever deploys does this before each update of a service.
        """
        writers = self.databases.writers() or set(self.regions)
        for loose in self.ground.plan.loose_tasks:
            if loose.task.region in writers:
                await self._run_to_its_end(loose)

    async def _run_to_its_end(self, loose: LooseTask) -> None:
        task = self.regions[loose.task.region].runner.run(loose.task, loose.zones[0])
        try:
            async with asyncio.timeout(TASK_TIMEOUT_S):
                while task.status != STOPPED:  # noqa: ASYNC110 - a task's end is in its status
                    await asyncio.sleep(ONCE_PAUSE_S)
        except TimeoutError:
            message = f"{loose.task.family} did not end in {TASK_TIMEOUT_S:.0f} s."
            raise TaskFailed(message) from None
        failed = {name: code for name, code in task.exit_codes.items() if code != 0}
        if failed or not task.exit_codes:
            message = f"{loose.task.family} failed: {task.stop_reason} {failed or ''}".rstrip()
            raise TaskFailed(f"{message}.")

    def _region(self, name: str, aws: AwsRegion) -> Region:
        ground = self.ground
        tools = TaskTools(
            ground.clock,
            ground.processes,
            self._checks,
            self._programs,
            self.around,
            {name: aws.logs},
        )
        return Region(name, ground, aws, tools, self._detours)

    def _dns(self) -> None:
        """Put together what stands in front of all regions, and the user's way to it."""
        ground, plan = self.ground, self.ground.plan
        regions = self.regions.values()
        names = BalancerNames([item for region in regions for item in region.balancers])
        self.names = names
        self.zones = HostedZones(
            plan.dns.zones,
            is_passing=lambda check: self.checker.is_passing(check),  # noqa: PLW0108 - made below
            balancers=names,
        )
        self.server = DnsServer(self.zones, plan.addresses.shared())
        self.client = DnsClient(self.server.host, self.server.port, names.place)
        self.checker = HealthChecker(
            plan.dns.checks,
            resolve=self.client.addresses,
            alarm_state=lambda region, name: self.regions[region].aws.alarms.state_of(name),
            clock=ground.clock,
            links=ground.links,
            timeline=ground.timeline,
            metrics=ground.store,
        )
        doors = doors_of(plan.dns, plan.balancing)
        self.door = (
            FrontDoor(
                doors,
                lookup=self.client.addresses,
                clock=ground.clock,
                links=ground.links,
                timeline=ground.timeline,
                processes=ground.processes,
                folder=ground.folder / "front-door",
            )
            if doors is not None
            else None
        )

    @property
    def _names(self) -> list[Part]:
        return [self.server, self.checker, *([self.door] if self.door is not None else [])]

    def _api(self, region: Region) -> ApiServer:
        dns = Dns(self.zones, self.checker, self.ground.clock.moment)
        self._dns_control.append(dns)
        return region.api(
            {"rds": self.databases.api(region.name), "route53": Handled("route53", dns)}
        )

"""A piece of the twin's network for tests: a site of its own, two zones, a load balancer."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from tests.support.upstream import Upstream

from evertill.assembly import Value
from evertill.twin.addresses import Addresses, Site, local_port
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts.authorities import Authority
from evertill.twin.parts.balancer import Balancer
from evertill.twin.parts.detours import Detours
from evertill.twin.parts.target_group import TargetGroup
from evertill.twin.plan.balancer_specs import (
    BalancerSpec,
    Forward,
    HealthCheck,
    ListenerSpec,
    TargetGroupSpec,
)
from evertill.twin.processes import Processes, sweep

REGION: Final = "us-east-1"
ZONES: Final = ("us-east-1a", "us-east-1b")
GROUP: Final = "arn:group"
DEADLINE_S: Final = 30.0
# Time-outs are twin time: a short one would fail healthy targets on a busy machine.
HEALTH: Final = HealthCheck(
    path="/health", interval_s=5, timeout_s=30, healthy_count=2, unhealthy_count=2
)


class Noted:
    """Metrics, kept by name and dimensions."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, frozenset[tuple[str, str]]], list[float]] = defaultdict(
            list
        )

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        **dimensions: str,
    ) -> None:
        assert region
        assert unit
        self.values[namespace, name, frozenset(dimensions.items())].append(value)

    def of(self, namespace: str, name: str, **dimensions: str) -> list[float]:
        return self.values[namespace, name, frozenset(dimensions.items())]


class Network:
    """What every part of the network is made with."""

    def __init__(self, folder: Path, site: int, speed: float) -> None:
        self.folder = folder
        self.clock = Clock(speed)
        self.links = Links(dict.fromkeys(ZONES, REGION))
        self.timeline = Timeline(self.clock)
        self.metrics = Noted()
        self.addresses = Addresses(site, {REGION: ZONES})
        self.processes = Processes(folder / "record")
        self.authority = Authority()
        self.groups: dict[str, TargetGroup] = {}
        self.detours = Detours(self.clock, self.links, self.timeline)
        self.may_connect: Callable[[Sequence[Value], Sequence[Value], int], str | None] = (
            lambda _from, _to, _port: None
        )
        self._targets = 0

    def group(self, **changes: Any) -> TargetGroup:
        spec = msgspec.structs.replace(
            TargetGroupSpec(
                region=REGION,
                name="web",
                arn=GROUP,
                full_name="targetgroup/web/1",
                port=8080,
                check=HEALTH,
                deregistration_delay_s=10,
            ),
            **changes,
        )
        self.groups[spec.arn] = TargetGroup(spec, self.clock, self.timeline)
        return self.groups[spec.arn]

    def spec(self, *listeners: ListenerSpec, **changes: Any) -> BalancerSpec:
        spec = BalancerSpec(
            region=REGION,
            name="alb",
            arn="arn:alb",
            full_name="app/alb/1",
            dns_name="alb-1.us-east-1.elb.amazonaws.com",
            hosted_zone_id="Z35SXDOTRQ7X7K",
            zones=ZONES,
            listeners=listeners or (plain(Forward(((GROUP, 1),))),),
        )
        return msgspec.structs.replace(spec, **changes)

    @contextlib.asynccontextmanager
    async def balancer(
        self, spec: BalancerSpec | None = None, **bridges: str
    ) -> AsyncIterator[Balancer]:
        spec = spec or self.spec()
        balancer = Balancer(
            spec,
            self.groups,
            addresses={zone: self.addresses.take(zone, spec.name) for zone in spec.zones},
            certify=self.authority.certificate,
            bridges=bridges,
            may_connect=self.may_connect,
            detour=self.detours,
            clock=self.clock,
            links=self.links,
            timeline=self.timeline,
            metrics=self.metrics,
            processes=self.processes,
            folder=self.folder / spec.name,
        )
        await balancer.start()
        try:
            yield balancer
        finally:
            await balancer.stop()

    @contextlib.asynccontextmanager
    async def target(
        self, zone: str = ZONES[0], group: str = GROUP, **settings: Any
    ) -> AsyncIterator[Upstream]:
        self._targets += 1
        upstream = Upstream(self.addresses.take(zone, f"task-{self._targets}"), 8080)
        for name, value in settings.items():
            setattr(upstream, name, value)
        await upstream.start()
        self.groups[group].register(upstream.host, upstream.port, zone)
        try:
            yield upstream
        finally:
            await upstream.stop()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.timeline.kept()]


def plain(default: Any, *rules: Any) -> ListenerSpec:
    return ListenerSpec(
        arn="arn:listener", port=80, protocol="HTTP", default=default, rules=tuple(rules)
    )


@contextlib.asynccontextmanager
async def network(speed: float = 20.0) -> AsyncIterator[Network]:
    """Give a network on a site of its own; nothing of it is left afterwards."""
    with (
        Site() as site,
        tempfile.TemporaryDirectory() as folder,
    ):
        sweep(Path(folder) / "record")
        made = Network(Path(folder), site.number, speed)
        try:
            yield made
        finally:
            await made.detours.stop()
            for group in made.groups.values():
                await group.close()
            await made.processes.end_all()


async def until(condition: Callable[[], object]) -> None:
    """Return when a condition holds; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what changes here tells nobody
            await asyncio.sleep(0.01)


def url(balancer: Balancer, zone: str = ZONES[0], port: int = 80, scheme: str = "http") -> str:
    return f"{scheme}://{balancer.node(zone).address}:{local_port(port)}"


def serving(balancer: Balancer, count: int) -> bool:
    """Tell whether every node that answers finds that many targets healthy."""
    nodes = [node for zone in ZONES if (node := balancer.node(zone)).answers]
    return all(node.healthy(GROUP) == count for node in nodes)


async def get(where: str, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(where + path)

"""An Application Load Balancer: a node in each zone, the ways to its targets, its metrics.

It is separate from the node because what is said of the whole is decided here: which addresses its
name has, whether it passes for healthy, who may connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertill.assembly import Value
from evertill.twin.addresses import local_port
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import OPEN, Links
from evertill.twin.part import Metrics
from evertill.twin.parts.balancer_metrics import PUBLISH_INTERVAL_S, BalancerMetrics
from evertill.twin.parts.balancer_node import Node
from evertill.twin.parts.balancer_servers import Hop, Route
from evertill.twin.parts.black_hole import BlackHole
from evertill.twin.parts.target_group import Target, TargetGroup
from evertill.twin.parts.traffic import Traffic
from evertill.twin.plan.balancer_specs import BalancerSpec
from evertill.twin.processes import Processes

# Whether members of the one groups may connect to the others' port: None, or the missing rule.
MayConnect = Callable[[Sequence[Value], Sequence[Value], int], str | None]
# The gate between a zone and a target's port, for links that are slow or narrow; None where there
# is none yet.
Detour = Callable[[str, Target, int], tuple[str, int] | None]
# The certificate, with its chain and key, for names of which the first is the subject.
Certify = Callable[[Sequence[str]], bytes]


class Balancer:
    """One load balancer of a region. It is a Part."""

    def __init__(  # noqa: PLR0913 - it knows no supervisor, so all it needs is handed to it
        self,
        spec: BalancerSpec,
        groups: Mapping[str, TargetGroup],
        *,
        addresses: Mapping[str, str],
        certify: Certify,
        bridges: Mapping[str, str],
        may_connect: MayConnect,
        detour: Detour | None,
        clock: Clock,
        links: Links,
        timeline: Timeline,
        metrics: Metrics,
        processes: Processes,
        folder: Path,
    ) -> None:
        """Serve `groups`, by ARN, at an address for each zone.

        `bridges` are the addresses that stand for functions, by group's ARN. Without a `detour`
        links can be cut here but not slowed down.
        """
        self.spec: Final = spec
        self._groups = {arn: groups[arn] for arn in spec.groups()}
        self._may_connect = may_connect
        self._detour = detour
        self._clock = clock
        self._links = links
        self._timeline = timeline
        self._refusals: set[str] = set()
        self._hole: BlackHole | None = None
        self._closed: list[BlackHole] = []
        self._publishing: asyncio.Task[None] | None = None
        self._metrics = BalancerMetrics(spec, self._groups, metrics)
        certificates = {
            listener.port: [certify(names) for names in listener.certificates]
            for listener in spec.listeners
            if listener.protocol == "HTTPS"
        }
        self._nodes = {
            zone: Node(
                spec,
                zone,
                self._groups,
                address=addresses[zone],
                certificates=certificates,
                bridges=bridges,
                route=self._route_from(zone),
                read_log=self._metrics.read,
                clock=clock,
                timeline=timeline,
                processes=processes,
                folder=folder / zone,
            )
            for zone in spec.zones
        }
        links.watch(self._wake)

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self.spec.region}/load-balancer/{self.spec.name}"

    @property
    def traffic(self) -> Traffic:
        """Return what goes through it at the moment."""
        return self._metrics.traffic

    @property
    def is_running(self) -> bool:
        """Tell whether any node answers."""
        return any(node.answers for node in self._nodes.values())

    async def start(self) -> None:
        """Bring up a node in each zone; raise PartFailed."""
        try:
            await self._start_nodes()
            self._close_what_nobody_may_reach()
        except BaseException:
            await self.stop()
            raise
        self._publishing = asyncio.create_task(self._publish())
        self._say("load_balancer.started", f"{self.spec.name} listens in {len(self._nodes)} zones")

    async def stop(self) -> None:
        """End every node."""
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.gather(self._publishing, return_exceptions=True)
            self._publishing = None
        await asyncio.gather(*(node.stop() for node in self._nodes.values()))
        if self._hole is not None:
            self._hole.close()
            self._hole = None
        for hole in self._closed:
            hole.close()
        self._closed.clear()

    def status(self) -> dict[str, Any]:
        """Return how the nodes and the groups are."""
        return {
            "dns_name": self.spec.dns_name,
            "nodes": {
                zone: {"address": node.address, "answers": node.answers}
                for zone, node in self._nodes.items()
            },
            "target_groups": [group.status() for group in self._groups.values()],
            "requests": self._metrics.requests,
            "failures": self._metrics.failures,
        }

    def node(self, zone: str) -> Node:
        """Return the node of a zone, for faults; raise KeyError where it has none."""
        return self._nodes[zone]

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that its name has now.

        A zone whose node does not answer or finds too few targets healthy is left out, unless that
        is so of all of them:
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-group-health
        """
        healthy = [node.address for node in self._nodes.values() if self._is_healthy(node)]
        return tuple(healthy or [node.address for node in self._nodes.values()])

    def is_healthy(self) -> bool:
        """Tell whether Route 53, asked to evaluate its health, would name it.

        https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-failover-alias.html
        """
        return any(self._is_healthy(node) for node in self._nodes.values())

    async def _start_nodes(self) -> None:
        self._hole = BlackHole("127.0.0.1")
        started = await asyncio.gather(
            *(node.start() for node in self._nodes.values()), return_exceptions=True
        )
        for outcome in started:
            if isinstance(outcome, BaseException):
                raise outcome

    def _close_what_nobody_may_reach(self) -> None:
        """Swallow connections to listeners that the security groups let nobody in to."""
        for listener in self.spec.listeners:
            if listener.refusal is not None:
                text = f"Nobody reaches port {listener.port}: {listener.refusal}"
                self._say("connection.refused", text)
                self._closed += [
                    BlackHole(node.address, local_port(listener.port))
                    for node in self._nodes.values()
                ]

    def _is_healthy(self, node: Node) -> bool:
        """Tell whether every group has enough healthy targets; an empty one never has."""
        return node.answers and all(
            group.spec.kind == "lambda" or node.healthy(arn) >= group.spec.healthy_min
            for arn, group in self._groups.items()
        )

    def _route_from(self, zone: str) -> Route:
        return lambda target, port, named: self._route(zone, target, port, named)

    def _route(self, zone: str, target: Target, port: int, named: int) -> Hop:
        """Return where the node in `zone` connects to for a port of a target."""
        address = ("127.0.0.1", 1) if self._hole is None else self._hole.address
        hole = Hop(*address, is_closed=True)
        missing = self._may_connect(self.spec.security_groups, target.groups, named)
        if missing is not None:
            if missing not in self._refusals:
                self._refusals.add(missing)
                self._say("connection.refused", f"{self.spec.name} reaches no target: {missing}")
            return hole
        place = self._links.place_of(target.host, target.zone)
        ways = self._links.way(zone, place), self._links.way(place, zone)
        if any(way.is_cut for way in ways):
            return hole
        detour = None
        if self._detour is not None and ways != (OPEN, OPEN):
            detour = self._detour(zone, target, port)
        return Hop(*(detour or (target.host, port)))

    async def _publish(self) -> None:
        while True:
            await self._clock.sleep(PUBLISH_INTERVAL_S)
            self._metrics.publish(list(self._nodes.values()))

    def _wake(self) -> None:
        for node in self._nodes.values():
            node.wake()

    def _say(self, kind: str, text: str) -> None:
        self._timeline.tell(self.spec.region, self.name, kind, text)

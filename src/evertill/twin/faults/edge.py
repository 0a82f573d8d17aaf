"""Load balancers that lose nodes, and functions that die or hang."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from evertill.twin.faults.fault import Fault, Undo, Values, frozen, nothing
from evertill.twin.parts.balancer_node import Node
from evertill.twin.parts.function import Function
from evertill.twin.running.twin import Twin


def _nodes(twin: Twin, *, zone: str = "", region: str = "") -> list[Node]:
    return [
        balancer.node(place)
        for name, here in twin.regions.items()
        for balancer in here.balancers
        for place in balancer.spec.zones
        if zone in {"", place} and region in {"", name}
    ]


async def _down(nodes: list[Node], by: str) -> Undo:
    await asyncio.gather(*(node.kill(by) for node in nodes))

    async def revive() -> None:
        await asyncio.gather(*(node.revive(by) for node in nodes))

    return revive


class KillBalancerNode(Fault, frozen=True):
    """Kill a node of a load balancer."""

    kind: ClassVar[str] = "kill-balancer-node"
    summary: ClassVar[str] = "Kill the load balancer's node in a zone; undo brings up another."

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone with a node."""
        return [{"zone": zone} for zone in dict.fromkeys(node.zone for node in _nodes(twin))]

    async def apply(self, twin: Twin) -> Undo:
        """Kill it and keep it down."""
        return await _down(_nodes(twin, zone=self.zone), self.kind)


class FreezeBalancerNode(Fault, frozen=True):
    """Let a node of a load balancer hang."""

    kind: ClassVar[str] = "freeze-balancer-node"
    summary: ClassVar[str] = "Stop the load balancer's node in a zone as it is (SIGSTOP)."

    zone: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each zone with a node."""
        return [{"zone": zone} for zone in dict.fromkeys(node.zone for node in _nodes(twin))]

    async def apply(self, twin: Twin) -> Undo:
        """Freeze it."""
        return frozen(_nodes(twin, zone=self.zone))


class KillBalancer(Fault, frozen=True):
    """Kill a load balancer."""

    kind: ClassVar[str] = "kill-balancer"
    summary: ClassVar[str] = "Kill all nodes of a region's load balancers; undo brings up others."

    region: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each region with a load balancer."""
        return [{"region": name} for name, region in twin.regions.items() if region.balancers]

    async def apply(self, twin: Twin) -> Undo:
        """Kill them and keep them down."""
        return await _down(_nodes(twin, region=self.region), self.kind)


def _functions(twin: Twin) -> Iterator[tuple[str, Function]]:
    for name, region in twin.regions.items():
        for function in region.aws.functions:
            yield name, function


def _function_targets(twin: Twin) -> list[Values]:
    return [
        {"region": region, "function": function.spec.name} for region, function in _functions(twin)
    ]


def _function(twin: Twin, region: str, name: str) -> Function:
    return next(
        function
        for place, function in _functions(twin)
        if place == region and function.spec.name == name
    )


class KillFunction(Fault, frozen=True):
    """Kill a function's processes."""

    kind: ClassVar[str] = "kill-function"
    summary: ClassVar[str] = "Kill a function's processes; the next event starts another, cold."
    passes: ClassVar[bool] = True

    region: str
    function: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each function."""
        return _function_targets(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Kill them."""
        await _function(twin, self.region, self.function).kill()
        return nothing


class FreezeFunction(Fault, frozen=True):
    """Let a function hang."""

    kind: ClassVar[str] = "freeze-function"
    summary: ClassVar[str] = "Stop a function's processes as they are (SIGSTOP), new ones too."

    region: str
    function: str

    @classmethod
    def targets(cls, twin: Twin) -> list[Values]:
        """Return each function."""
        return _function_targets(twin)

    async def apply(self, twin: Twin) -> Undo:
        """Freeze them; undo thaws those that are still there."""
        return frozen([_function(twin, self.region, self.function)])

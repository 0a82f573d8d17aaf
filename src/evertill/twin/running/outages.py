"""Zones and regions that are lost, and given back: whatever there is in them at once.

It is separate from the faults because it has an account to keep: a zone that is lost by itself and
with its region comes back when both are undone, and no sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final

from evertill.twin.api.route53 import Dns
from evertill.twin.api.server import ApiServer
from evertill.twin.links import OPEN, Links, Way
from evertill.twin.parts.black_hole import BlackHole
from evertill.twin.parts.cluster import Cluster
from evertill.twin.running.region import Region

CUT: Final = Way(is_cut=True)
# Who cuts links and holds nodes down here.
LOST: Final = "lost"
# Where AWS changes records; what DNS answers does not depend on it.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/disaster-recovery-resiliency.html
DNS_CONTROL_REGION: Final = "us-east-1"


class Outages:
    """What is lost of one twin."""

    def __init__(
        self,
        regions: Mapping[str, Region],
        clusters: Iterable[Cluster],
        links: Links,
        apis: Mapping[str, ApiServer],
        dns: Iterable[Dns],
    ) -> None:
        """Begin with everything there."""
        self._regions: Final = regions
        self._clusters: Final = tuple(clusters)
        self._links: Final = links
        self._apis: Final = apis
        self._dns: Final = tuple(dns)
        self._zones_asked: set[str] = set()
        self._regions_asked: set[str] = set()
        self._lost: dict[str, frozenset[str]] = dict.fromkeys(regions, frozenset())
        self._holes: dict[str, BlackHole] = {}
        self._breaks: int = 0

    def is_up(self, region: str) -> bool:
        """Tell whether a region is there; one that only votes, such as a witness, always is."""
        return region not in self._regions_asked

    def is_lost(self, zone: str) -> bool:
        """Tell whether a zone is lost, by itself or with its region."""
        return any(zone in lost for lost in self._lost.values())

    async def lose_zone(self, zone: str) -> None:
        """Lose a zone: nothing in it runs, and nothing is started there."""
        self._zones_asked.add(zone)
        await self._settle()

    async def restore_zone(self, zone: str) -> None:
        """Give a zone back, unless its region is lost; raise PartFailed."""
        self._zones_asked.discard(zone)
        await self._settle()

    async def lose_region(self, region: str) -> None:
        """Lose a region: its links first, so that nothing of its end is told to the others."""
        self._regions_asked.add(region)
        self._set_links(region, CUT)
        await self._apis[region].stop()
        self._holes[region] = BlackHole(*self._apis[region].address)
        await self._regions[region].aws.alarms.stop()
        if region == DNS_CONTROL_REGION:
            self.break_dns()
        await self._settle()

    async def restore_region(self, region: str) -> None:
        """Bring a region back with the data that it had; raise PartFailed."""
        self._regions_asked.discard(region)
        hole = self._holes.pop(region, None)
        if hole is not None:
            hole.close()
            await self._apis[region].start()
            await self._regions[region].aws.alarms.start()
            if region == DNS_CONTROL_REGION:
                self.mend_dns()
        self._set_links(region, OPEN)
        await self._settle()

    def break_dns(self) -> None:
        """Let Route 53's control API fail; DNS goes on to answer."""
        self._breaks += 1
        self._set_dns()

    def mend_dns(self) -> None:
        """Undo one `break_dns`; it works again when all are undone."""
        self._breaks -= 1
        self._set_dns()

    def close(self) -> None:
        """Give back what no part holds."""
        for hole in self._holes.values():
            hole.close()
        self._holes.clear()

    def _set_dns(self) -> None:
        for dns in self._dns:
            dns.is_broken = self._breaks > 0

    def _set_links(self, region: str, way: Way) -> None:
        self._links.set(region, Links.ANY, way, LOST)
        self._links.set(Links.ANY, region, way, LOST)

    async def _settle(self) -> None:
        """Lose and give back until what is lost is what was asked for."""
        for name, region in self._regions.items():
            zones = region.zones
            wanted = frozenset(
                zone for zone in zones if name in self._regions_asked or zone in self._zones_asked
            )
            before, self._lost[name] = self._lost[name], wanted
            await self._take(region, wanted - before)
            await self._give_back(region, before - wanted)

    async def _take(self, region: Region, zones: frozenset[str]) -> None:
        if not zones:
            return
        ends: list[Awaitable[object]] = [
            cluster.hold(*zones) for cluster in self._clusters if cluster.spec.region == region.name
        ]
        for zone in zones:
            ends += [service.lose_zone(zone) for service in region.services]
            ends += [task.kill() for task in region.runner.tasks if task.zone == zone]
            ends += [
                balancer.node(zone).kill(LOST)
                for balancer in region.balancers
                if zone in balancer.spec.zones
            ]
        for function in region.aws.functions:
            function.lose_zones(self._lost[region.name])
            ends.append(function.kill(zones))
        await asyncio.gather(*ends)

    async def _give_back(self, region: Region, zones: frozenset[str]) -> None:
        if not zones:
            return
        for cluster in self._clusters:
            if cluster.spec.region == region.name:
                cluster.release(*zones)
        for function in region.aws.functions:
            function.lose_zones(self._lost[region.name])
        for service in region.services:
            for zone in zones:
                service.restore_zone(zone)
        nodes = [
            balancer.node(zone).revive(LOST)
            for balancer in region.balancers
            for zone in zones
            if zone in balancer.spec.zones
        ]
        await asyncio.gather(*nodes)

"""Zones and regions that are lost, and given back: whatever there is in them at once.

It is separate from the faults because it has an account to keep: a zone that is lost by itself and
with its region comes back when both are undone, and no sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final, Protocol

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


class Freezable(Protocol):
    """What can be stopped as it is."""

    def freeze(self) -> None:
        """Stop it."""

    def thaw(self) -> None:
        """Let it go on."""


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
        self._frozen: dict[str, list[Freezable]] = {}
        self._zones_asked: set[str] = set()
        self._regions_asked: set[str] = set()
        self._lost: dict[str, frozenset[str]] = dict.fromkeys(regions, frozenset())
        self._holes: dict[str, BlackHole] = {}
        self._breaks: int = 0

    def is_up(self, region: str) -> bool:
        """Tell whether a region is there; one that only votes, such as a witness, always is."""
        return region not in self._regions_asked and region not in self._frozen

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
        """Lose a region: nobody reaches it, and nothing in it runs."""
        self._regions_asked.add(region)
        await self._silence(region)
        await self._settle()

    async def restore_region(self, region: str) -> None:
        """Bring a region back with the data that it had; raise PartFailed."""
        self._regions_asked.discard(region)
        await self._end_silence(region)
        await self._settle()

    async def freeze_region(self, region: str) -> None:
        """Let a region hang: its processes stop as they are, and nobody reaches it or mends it."""
        await self._silence(region)
        here = self._regions[region]
        for service in here.services:
            service.is_held = True
        for cluster in self._clusters_of(region):
            await cluster.tending.stop()
            await cluster.rejoining.cancel()
        self._frozen[region] = self.running_in(here.zones)
        for item in self._frozen[region]:
            item.freeze()

    async def thaw_region(self, region: str) -> None:
        """Let a region that hangs go on where it was, whatever has happened elsewhere."""
        for item in self._frozen.pop(region):
            item.thaw()
        await self._end_silence(region)
        for cluster in self._clusters_of(region):
            cluster.tending.start()
        for service in self._regions[region].services:
            service.is_held = False

    def running_in(self, zones: Iterable[str]) -> list[Freezable]:
        """Return everything in zones that can be stopped as it is."""
        wanted = frozenset(zones)
        found: list[Freezable] = []
        for region in self._regions.values():
            for service in region.services:
                found += [hand.task for hand in service.crew if hand.task.zone in wanted]
            found += [task for task in region.runner.tasks if task.zone in wanted]
            for balancer in region.balancers:
                found += [balancer.node(zone) for zone in balancer.spec.zones if zone in wanted]
            for function in region.aws.functions:
                found += [
                    environment.process
                    for environment in function.environments()
                    if environment.zone in wanted and environment.process is not None
                ]
        for cluster in self._clusters:
            found += [member for member in cluster.members() if member.place in wanted]
        return found

    def break_dns(self) -> None:
        """Let Route 53's control API fail; DNS goes on to answer."""
        self._breaks += 1
        self._set_dns()

    def mend_dns(self) -> None:
        """Undo one `break_dns`; it works again when all are undone."""
        self._breaks -= 1
        self._set_dns()

    def thaw_tasks(self) -> None:
        """Let tasks go on that hang: they could not end in good order."""
        for region in self._regions.values():
            for service in region.services:
                for hand in service.crew:
                    if hand.task.is_frozen:
                        hand.task.thaw()

    def close(self) -> None:
        """Give back what no part holds."""
        for hole in self._holes.values():
            hole.close()
        self._holes.clear()

    async def _silence(self, region: str) -> None:
        """Let nobody reach a region: links first, so that nothing of its end is told to others."""
        self._set_links(region, CUT)
        await self._apis[region].stop()
        self._holes[region] = BlackHole(*self._apis[region].address)
        await self._regions[region].aws.alarms.stop()
        if region == DNS_CONTROL_REGION:
            self.break_dns()

    async def _end_silence(self, region: str) -> None:
        hole = self._holes.pop(region, None)
        if hole is not None:
            hole.close()
            await self._apis[region].start()
            await self._regions[region].aws.alarms.start()
            if region == DNS_CONTROL_REGION:
                self.mend_dns()
        self._set_links(region, OPEN)

    def _clusters_of(self, region: str) -> list[Cluster]:
        return [cluster for cluster in self._clusters if cluster.spec.region == region]

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
            cluster.hold(*zones) for cluster in self._clusters_of(region.name)
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
        for cluster in self._clusters_of(region.name):
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

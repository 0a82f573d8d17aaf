"""Everything that recovery reaches, put together once: regions, databases, doors, lease, time.

It is the composition root of the room, so that looking and the steps are given one thing, and so
that what differs in a simulation (addresses, a clock that runs faster) is told in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from evertill.authority.keeping import Leases
from evertill.authority.lease import Answer, Ask
from evertill.authority.table import LeaseUnreachable, Table
from evertill.recovery.databases import Database
from evertill.recovery.deployment import Deployment
from evertill.recovery.doors import Door
from evertill.recovery.pace import Pace
from evertill.recovery.regions import Region, Reports


class Surroundings:
    """What an environment is reached by."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        endpoints: Mapping[str, str],
        find_door: Callable[[str], str],
        authorities: Path | None,
        speed: float,
        reports: Reports,
    ) -> None:
        """Reach regions at `endpoints`, else where AWS has them, and services at `find_door`."""
        self.deployment: Final = deployment
        self.pace: Final = Pace(speed)
        self.reports: Final = reports
        self._regions: Final = {
            name: Region(name, endpoints.get(name, ""), reports) for name in deployment.regions
        }
        self._databases: Final = {
            name: Database(region, deployment, authorities)
            for name, region in self._regions.items()
        }
        self._find_door: Final = find_door
        self._authorities: Final = authorities
        self._doors: Final[dict[str, Door]] = {}

    def region(self, name: str) -> Region:
        """Return a region's APIs."""
        return self._regions[name]

    def database(self, name: str) -> Database:
        """Return a region's database."""
        return self._databases[name]

    def door(self, name: str) -> Door:
        """Return a region's service."""
        if name not in self._doors:
            url = self._find_door(name)
            self._doors[name] = Door(url, self.deployment.regional(name), self._authorities)
        return self._doors[name]

    def forgo(self, name: str) -> None:
        """Call nothing of a region any more."""
        self._regions[name].forgo()

    def asked(self) -> list[str]:
        """Return the regions whose APIs are called."""
        return [name for name, region in self._regions.items() if not region.is_forgone]

    def leases(self, names: Sequence[str]) -> Leases:
        """Return the write lease as the replicas of the regions `names` tell it, the last first.

        The first region is where the table is administered and most is lost with; the other's
        replica is as good.
        """
        table = self.deployment.lease_table
        return _Either(
            [Table(table, [name], self._regions[name].endpoint) for name in reversed(names)]
        )


class _Either:
    """The first replica that answers."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables

    def call(self, ask: Ask) -> Answer:
        failures = []
        for table in self._tables:
            try:
                return table.call(ask)
            except LeaseUnreachable as failure:
                failures.append(str(failure))
        raise LeaseUnreachable(" ".join(failures) or None)

"""The databases of all regions, the gates in front of them, and what RDS's API says of them.

They are put together for all regions at once, because a global cluster is one of several regions.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from evertill.twin.api.handled import Handled
from evertill.twin.api.rds import Rds
from evertill.twin.part import Part
from evertill.twin.parts.cluster import Cluster, World
from evertill.twin.parts.database_endpoints import Surroundings, gate_of, operator_endpoints
from evertill.twin.parts.database_metrics import DatabaseMetrics
from evertill.twin.parts.dynamic_references import resolved
from evertill.twin.parts.global_cluster import GlobalCluster
from evertill.twin.parts.snapshots import Snapshots
from evertill.twin.plan.bindings import ACCOUNT
from evertill.twin.plan.database_gates import WRITER
from evertill.twin.plan.database_specs import ClusterSpec
from evertill.twin.running.ground import Ground

FOLDER: Final = "databases"
# Reads a secret of a region, named as ECS does.
ReadSecret = Callable[[str, str], Awaitable[str]]


class Databases:
    """All databases of a twin."""

    def __init__(self, ground: Ground, read_secret: ReadSecret) -> None:
        """Put them together from the plan."""
        plan = ground.plan
        self._ground: Final = ground
        self._read_secret: Final = read_secret
        folder = ground.folder / FOLDER
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        world = World(
            clock=ground.clock,
            links=ground.links,
            timeline=ground.timeline,
            processes=ground.processes,
            programs=ground.programs,
            secrets=ground.passwords,
            resolve=self._resolve,
            disk_mb=ground.disk_mb,
        )
        self.clusters: Final = {
            spec.name: Cluster(spec, world, folder / spec.name.replace("/", "-"))
            for spec in plan.databases.clusters
        }
        self.snapshots: Final = Snapshots(folder / "snapshots")
        self.groups: Final = {
            f"global/database/{spec.identifier}": GlobalCluster(
                spec,
                [self.clusters[name] for name in spec.members],
                world,
                folder / f"global-{spec.identifier}",
                self.snapshots,
            )
            for spec in plan.databases.globals
        }
        around = Surroundings(
            clusters=self.clusters,
            global_clusters=self.groups,
            identities=ground.identities,
            make_context=self._context,
            clock=ground.clock,
            links=ground.links,
            timeline=ground.timeline,
        )
        self._endpoints: Final = operator_endpoints(plan.database_gates)
        self.gates: Final = [gate_of(spec, around) for spec in plan.database_gates]
        self._metrics: Final = DatabaseMetrics(
            list(self.clusters.values()), list(self.groups.values()), ground.store, ground.clock
        )

    @property
    def parts(self) -> list[Part]:
        """Return the parts in the order of their start."""
        return [*self.groups.values(), *self.clusters.values(), *self.gates, self._metrics]

    def writers(self) -> set[str]:
        """Return the regions whose database takes writes."""
        return {item.spec.region for item in self.clusters.values() if item.is_primary}

    async def owner_url(self) -> str | None:
        """Return a connection string for the first database's owner, None without a database.

        It leads through the operator's gate to whichever server writes, as an administrator's
        does on AWS.
        """
        for spec in self._ground.plan.databases.clusters:
            url = await self.login_url(spec, WRITER, at=self._primary(spec.name))
            if url is not None:
                return url
        return None

    async def login_url(self, spec: ClusterSpec, role: str, at: str | None = None) -> str | None:
        """Return a connection string for a cluster's owner, by an endpoint of it or of `at`."""
        host = self._endpoints.get((at or spec.name, role))
        if not (spec.master and spec.database and host):
            return None
        password = quote(await self._resolve(spec.password), safe="")
        address = f"{spec.master}:{password}@{host}:{spec.port}/{spec.database}"
        authorities = self._ground.authorities.absolute()
        return f"postgresql://{address}?sslmode=verify-full&sslrootcert={authorities}"

    def _primary(self, name: str) -> str:
        """Return which cluster writes for a cluster: another region's after a switchover."""
        cluster = self.clusters[name]
        groups = (group for group in self.groups.values() if cluster in group.members)
        return next((group.primary.name for group in groups), name)

    def api(self, region: str) -> Handled:
        """Return what answers for RDS in a region."""
        handler = Rds(
            region,
            ACCOUNT,
            clusters=[item for item in self.clusters.values() if item.spec.region == region],
            global_clusters=list(self.groups.values()),
            snapshots=self.snapshots,
            endpoints=self._endpoints,
        )
        return Handled("rds", handler)

    async def _resolve(self, text: str) -> str:
        return await resolved(text, self._read)

    async def _read(self, secret: str) -> str:
        is_arn = secret.startswith("arn:")
        region = secret.split(":")[3] if is_arn else next(iter(self._ground.plan.places.regions))
        return await self._read_secret(region, secret)

    def _context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.pem"
            file.touch(mode=0o600)
            file.write_bytes(self._ground.authority.certificate([host]))
            context.load_cert_chain(file)
        return context

"""Snapshots of volumes: what is left of a primary that was given up, and what was asked for.

They are separate because they outlive the clusters. A snapshot is a copy of a data directory; one
of a running cluster is taken as a base backup. A failover leaves the old volume as a system
snapshot that expires: whoever wants to compare it copies it in time.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from evertill.twin.errors import TwinError
from evertill.twin.parts.postgres import Instance

if TYPE_CHECKING:
    from evertill.twin.parts.cluster import Cluster

COPY_TIMEOUT_S: Final = 300.0
RECORD: Final = "snapshot.json"


class SnapshotExists(TwinError):
    """There is a snapshot of that name."""

    code = "snapshot_exists"


class Snapshot(msgspec.Struct, frozen=True):
    """One snapshot; `data` is a data directory that no server has opened since."""

    identifier: str
    region: str
    cluster: str
    kind: str
    taken_at: datetime
    data: str


class Snapshots:
    """All snapshots of a twin, in one folder that the servers' user can enter."""

    def __init__(self, folder: Path) -> None:
        """Find those of earlier runs."""
        self._folder: Final = folder
        self._known: Final = {item.identifier: item for item in self._read()}

    def of(self, region: str) -> list[Snapshot]:
        """Return the snapshots of a region."""
        return [item for item in self._known.values() if item.region == region]

    async def take_unplanned(self, cluster: Cluster, writer: Instance) -> Snapshot:
        """Keep the volume of an old primary whose servers are dead."""
        at = cluster.world.clock.moment()
        name = f"rds:unplanned-global-failover-{cluster.spec.identifier}-{at:%Y-%m-%d-%H-%M-%S}"
        return await self._take(name, "automated", cluster, writer, at)

    async def copy(self, source: Snapshot, name: str, at: datetime) -> Snapshot:
        """Copy a snapshot, so that it does not expire with the first; raise SnapshotExists."""
        if name in self._known:
            raise SnapshotExists
        place = self._place(name, source.region)
        # Its folder is ours and its data the servers' user's, as in the first.
        await _copied(Path(source.data).parent, place)
        copied = msgspec.structs.replace(
            source, identifier=name, kind="manual", taken_at=at, data=str(place / "data")
        )
        self._note(copied, place)
        return copied

    async def take(self, name: str, cluster: Cluster) -> Snapshot:
        """Copy a cluster as it is; raise SnapshotExists, or PartFailed when it cannot be copied."""
        if name in self._known:
            raise SnapshotExists
        source = cluster.writer or next(iter(cluster.instances.values()))
        return await self._take(name, "manual", cluster, source, cluster.world.clock.moment())

    async def _take(
        self, name: str, kind: str, cluster: Cluster, source: Instance, at: datetime
    ) -> Snapshot:
        programs = cluster.world.programs
        programs.make_folder(self._folder)
        place = self._place(name, cluster.spec.region)
        programs.make_folder(place)
        if source.is_running:
            await source.back_up(place / "data")
        else:
            await _copied(source.data, place / "data")
        made = Snapshot(
            name, cluster.spec.region, cluster.spec.identifier, kind, at, str(place / "data")
        )
        self._note(made, place)
        cluster.tell("snapshot", f"The volume of {source.member} is kept as {name}.", snapshot=name)
        return made

    def _place(self, name: str, region: str) -> Path:
        place = self._folder / f"{region}-{name.replace(':', '-')}"
        shutil.rmtree(place, ignore_errors=True)
        return place

    def _note(self, made: Snapshot, place: Path) -> None:
        (place / RECORD).write_bytes(msgspec.json.encode(made))
        self._known[made.identifier] = made

    def _read(self) -> list[Snapshot]:
        records = sorted(self._folder.glob(f"*/{RECORD}")) if self._folder.is_dir() else []
        return [msgspec.json.decode(path.read_bytes(), type=Snapshot) for path in records]


async def _copied(source: Path, target: Path) -> None:
    """Copy with owners and, where the file system can, without using space twice."""
    process = await asyncio.create_subprocess_exec(
        "/bin/cp", "-a", "--reflink=auto", str(source), str(target)
    )
    if await asyncio.wait_for(process.wait(), COPY_TIMEOUT_S) != 0:
        message = f"{source} could not be copied."
        raise TwinError(message)

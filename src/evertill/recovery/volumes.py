"""Keep the volume of a primary that was given up: it holds what was lost, and it expires.

Aurora takes a snapshot of it when the old region is back, before it builds a new volume there. That
is a system snapshot, which goes when the old cluster's backups go; a copy stays until somebody
deletes it. It is separate because whoever comes first, reconciliation or failback, has to do this.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from evertill.recovery.errors import CallRefused
from evertill.recovery.rds import AVAILABLE, UNPLANNED
from evertill.recovery.regions import Region

COPY_PREFIX: Final = "kept-"
ALREADY_THERE: Final = "DBClusterSnapshotAlreadyExistsFault"
# Of one cluster; more is somebody's archive, and not a region that was just lost.
PAGES_MAX: Final = 100


class Volume(msgspec.Struct, frozen=True):
    """A snapshot of a given-up volume, the copy of it that stays, and whether that is new."""

    snapshot: str
    copy: str
    status: str
    is_new: bool


def keep_volumes(region: Region, cluster: str) -> list[Volume]:
    """Copy every snapshot of a given-up volume that is not copied yet; raise as Region.call."""
    listed = {item["DBClusterSnapshotIdentifier"]: item for item in _snapshots(region, cluster)}
    return [
        _keep(region, name, listed)
        for name, item in listed.items()
        if name.startswith(UNPLANNED) and item["Status"] == AVAILABLE
    ]


def _keep(region: Region, name: str, listed: dict[str, dict[str, Any]]) -> Volume:
    copy = COPY_PREFIX + name.removeprefix(UNPLANNED)
    if copy in listed:
        return Volume(name, copy, listed[copy]["Status"], is_new=False)
    try:
        answer = region.call(
            "rds",
            "copy_db_cluster_snapshot",
            SourceDBClusterSnapshotIdentifier=name,
            TargetDBClusterSnapshotIdentifier=copy,
            CopyTags=True,
        )
    except CallRefused as refused:
        # Another of us was faster, or our own call was sent again after its answer was lost.
        if refused.fields.get("aws_code") not in {
            ALREADY_THERE,
            ALREADY_THERE.removesuffix("Fault"),
        }:
            raise
        return Volume(name, copy, "", is_new=False)
    return Volume(name, copy, answer["DBClusterSnapshot"]["Status"], is_new=True)


def _snapshots(region: Region, cluster: str) -> Iterator[dict[str, Any]]:
    marker: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        answer = region.call(
            "rds", "describe_db_cluster_snapshots", DBClusterIdentifier=cluster, **marker
        )
        yield from answer["DBClusterSnapshots"]
        if not answer.get("Marker"):
            return
        marker = {"Marker": answer["Marker"]}

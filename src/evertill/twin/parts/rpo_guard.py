"""The guard of the recovery point: commits wait while every secondary is too far behind.

`rds.global_db_rpo` on the primary holds commits back and never fails them
(https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html#aurora-global-database-manage-recovery).
Here a secondary joins the copies that a commit waits for, beside one in the region, until it has
caught up. With no secondary, nobody can let commits go on but who lifts the guard. It is separate
because it is one rule over two clusters, and the only one that may stop payments on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evertill.twin.parts.cluster import Cluster
    from evertill.twin.parts.global_cluster import GlobalCluster

PARAMETER: Final = "rds.global_db_rpo"
# Stands in the quorum for a secondary that is not there.
NOBODY: Final = "nobody"


def look(group: GlobalCluster, cluster: Cluster) -> None:
    """Set or lift the guard of `cluster` if it is the primary; called once a round."""
    if not cluster.is_primary or cluster.writer is None or cluster not in group.members:
        return
    limit = cluster.parameters.get(PARAMETER, "")
    behind = _behind(group, cluster)
    is_exceeded = bool(limit) and min(behind.values(), default=float("inf")) > float(limit)
    if is_exceeded and not cluster.quorum:
        cluster.tell("guard.set", f"Every secondary is more than {limit} s behind; commits wait.")
    elif cluster.quorum and not is_exceeded:
        cluster.tell("guard.lifted", "Commits go on.")
    cluster.set_quorum(_quorum(cluster, _nearest(behind)) if is_exceeded else "")


def _behind(group: GlobalCluster, cluster: Cluster) -> dict[Cluster, float]:
    """Return for how long each secondary has missed something, as `cluster` can tell.

    A primary that was given up and cannot be reached does not know that it was. It sees that its
    secondary receives nothing since then.
    """
    if cluster is group.primary:
        return {item: group.lag_s(item) for item in group.secondaries()}
    silent_s = group.world.clock.now_s() - group.cut_off_s.get(cluster.name, 0.0)
    return {group.primary: silent_s}


def _nearest(behind: dict[Cluster, float]) -> str:
    if not behind:
        return NOBODY
    cluster = min(behind, key=lambda item: behind[item])
    if cluster.is_primary:
        return NOBODY
    looks = {item.member: cluster.tending.look_of(item) for item in cluster.instances.values()}
    return max(looks, key=lambda member: looks[member].received)


def _quorum(cluster: Cluster, remote: str) -> str:
    local = next(iter(cluster.tending.connected_locals()), NOBODY)
    return f'ANY 2 ("{local}", "{remote}")'

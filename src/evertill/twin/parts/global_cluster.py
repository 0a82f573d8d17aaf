"""An Aurora global database: one cluster writes, the clusters of other regions receive its log.

Replication between regions is asynchronous and goes over the links, so what a region's loss loses
is what the link had not brought over. Its invariant: one member is the primary as far as the others
can tell; whoever was it before does not write again once it can be reached. A primary that cannot
be reached is *not* fenced, as on AWS: keeping it from writing is the business of the lease.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html

It is separate from the clusters because it alone knows two regions; they only follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.twin.errors import TwinError
from evertill.twin.parts import region_change, rpo_guard
from evertill.twin.parts.cluster import Cluster, World
from evertill.twin.parts.snapshots import Snapshots
from evertill.twin.plan.database_specs import GlobalSpec

RETURN_INTERVAL_S: Final = 1.0
RETURN_INTERVAL_MIN_S: Final = 0.2
STATE_FILE: Final = "global.json"


class WrongState(TwinError):
    """The global cluster is in no state for that."""

    code = "wrong_state"


class NotAMember(TwinError):
    """The cluster is no member of the global cluster, or already its primary."""

    code = "not_a_member"


class Change(msgspec.Struct, frozen=True):
    """A switchover or a failover under way, in the words of `FailoverState`."""

    status: str
    source: str
    target: str
    is_data_loss_allowed: bool


class Kept(msgspec.Struct):
    """What a global cluster remembers from run to run, by part names."""

    primary: str
    members: list[str]
    abandoned: list[str] = []


class GlobalCluster:
    """The members of one global cluster and which of them is the primary."""

    def __init__(
        self,
        spec: GlobalSpec,
        clusters: Sequence[Cluster],
        world: World,
        folder: Path,
        snapshots: Snapshots,
    ) -> None:
        """Give the clusters, which are not started yet, the roles that they had or begin with."""
        self.spec: Final = spec
        self.world: Final = world
        self.snapshots: Final = snapshots
        self._file: Final = folder / STATE_FILE
        known = {cluster.name: cluster for cluster in clusters}
        kept = self._read(Kept(spec.members[0], list(spec.members)))
        self.members: Final = [known[name] for name in kept.members]
        self.primary = known[kept.primary]
        # Old primaries that write for all we know, because they could not be reached.
        self.abandoned: Final = [known[name] for name in kept.abandoned]
        # Since when, in twin seconds: they have no secondary that they know of.
        self.cut_off_s: Final = dict.fromkeys(kept.abandoned, 0.0)
        self.change: Change | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        for cluster in self.secondaries():
            cluster.source = self.primary
        for cluster in self.members:
            cluster.tending.after.append(partial(rpo_guard.look, self, cluster))

    @property
    def name(self) -> str:
        """Return the name."""
        return f"global/database/{self.spec.identifier}"

    @property
    def state(self) -> str:
        """Return the state in RDS's words."""
        return "available" if self.change is None else self.change.status

    async def start(self) -> None:
        """Begin to wait for old primaries that come back."""
        self._task = asyncio.create_task(self._take_back())

    async def stop(self) -> None:
        """End what is under way."""
        tasks = [task for task in (self._task, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    def status(self) -> dict[str, Any]:
        """Return who is the primary and how far behind the others are."""
        return {
            "state": self.state,
            "primary": self.primary.name,
            "lag_s": {item.name: round(self.lag_s(item), 3) for item in self.secondaries()},
            "abandoned": [item.name for item in self.abandoned],
            "guard": self.primary.quorum,
        }

    def secondaries(self) -> list[Cluster]:
        """Return the members that follow the primary, or will once they can be reached."""
        return [item for item in self.members if item is not self.primary]

    def lag_s(self, secondary: Cluster) -> float:
        """Return for how long the primary has had commits that a secondary did not receive."""
        now_s = self.world.clock.now_s()
        return self.primary.meter.lag_s(secondary.tending.received(), now_s)

    def switch_over(self, target: Cluster) -> None:
        """Begin a planned switchover, which loses nothing; raise WrongState or NotAMember."""
        self._check(target)
        if target.state != "available" or self.primary.state != "available" or self.abandoned:
            message = "A switchover needs every cluster healthy; a failover does not."
            raise WrongState(message)
        self._begin("switching-over", target, region_change.switch_over, is_data_loss_allowed=False)

    def fail_over(self, target: Cluster) -> None:
        """Begin a failover, which loses what `target` did not receive; raise as `switch_over`."""
        self._check(target)
        self._begin("failing-over", target, region_change.fail_over, is_data_loss_allowed=True)

    async def remove(self, cluster: Cluster) -> None:
        """Detach a member: it writes from then on, for itself; raise as `switch_over`."""
        if cluster not in self.members or self.change is not None:
            raise NotAMember
        if cluster is self.primary and len(self.members) > 1:
            message = "The primary can be removed only when it is the last member."
            raise WrongState(message)
        was_secondary = cluster is not self.primary
        self.members.remove(cluster)
        if cluster in self.abandoned:
            self.abandoned.remove(cluster)
            was_secondary = False
        self.keep()
        if was_secondary:
            await region_change.promote_region(cluster)
        self.tell("detached", f"{cluster.name} is no member any more.")

    def note(self, status: str) -> None:
        """Note how far the change is."""
        if self.change is not None:
            self.change = msgspec.structs.replace(self.change, status=status)
            self.tell(status, f"{self.change.source} to {self.change.target}: {status}.")

    def set_primary(self, cluster: Cluster) -> None:
        """Let another member be the primary; it is written down before it is so."""
        self.primary = cluster
        cluster.set_quorum("")
        self.keep()

    def keep(self) -> None:
        """Write down what the next run needs to know."""
        kept = Kept(
            self.primary.name,
            [item.name for item in self.members],
            [item.name for item in self.abandoned],
        )
        draft = self._file.with_name(f"{STATE_FILE}.new")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(kept))
        draft.rename(self._file)

    def tell(self, kind: str, text: str, **fields: str | float) -> None:
        """Tell the timeline."""
        self.world.timeline.tell("", self.name, f"database.global.{kind}", text, **fields)

    def reaches(self, one: Cluster, other: Cluster) -> bool:
        """Tell whether two regions reach each other, both ways."""
        links = self.world.links
        a, b = one.spec.region, other.spec.region
        return not (links.way(a, b).is_cut or links.way(b, a).is_cut)

    def _check(self, target: Cluster) -> None:
        if target not in self.members or target is self.primary:
            raise NotAMember
        if self.change is not None:
            message = "A switchover or failover is under way."
            raise WrongState(message)

    def _begin(
        self,
        status: str,
        target: Cluster,
        carry_out: region_change.Carry,
        *,
        is_data_loss_allowed: bool,
    ) -> None:
        self.change = Change(
            "pending", self.primary.spec.arn, target.spec.arn, is_data_loss_allowed
        )
        task = asyncio.create_task(self._carry_out(status, target, carry_out))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(
        self, status: str, target: Cluster, carry_out: region_change.Carry
    ) -> None:
        begun_s = self.world.clock.now_s()
        self.note(status)
        try:
            await carry_out(self, target)
        except region_change.TROUBLE as trouble:
            self.tell("failed", f"The change of region was given up: {trouble}")
        else:
            took_s = round(self.world.clock.now_s() - begun_s, 3)
            self.tell("changed", f"{self.primary.name} is the primary.", took_s=took_s)
        finally:
            self.change = None

    async def _take_back(self) -> None:
        clock = self.world.clock
        while True:
            for cluster in tuple(self.abandoned):
                is_there = not all(cluster.is_held(item.zone) for item in cluster.spec.instances)
                if self.change is None and is_there and self.reaches(cluster, self.primary):
                    try:
                        await region_change.take_back(self, cluster)
                    except region_change.TROUBLE as trouble:
                        self.tell("trouble", f"{cluster.name} is not taken back: {trouble}")
            await asyncio.sleep(max(RETURN_INTERVAL_MIN_S, clock.real_s(RETURN_INTERVAL_S)))

    def _read(self, default: Kept) -> Kept:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):
            return default

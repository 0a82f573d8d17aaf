"""What was seen of both regions at one moment, as plain values. What was not seen is None.

It is separate from who looks, so that evaluation and plans are pure, and a test writes its world
down in a few lines. AWS's own words for states are kept as they came, known to us or not.
"""

from __future__ import annotations

import msgspec

from evertill.authority.lease import Lease


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """A value."""


class Instance(Frozen, frozen=True):
    """A database instance."""

    name: str
    zone: str
    status: str
    is_writer: bool


class Guard(Frozen, frozen=True):
    """The RPO guard in a cluster's parameter group; `limit_s` is None where it is not set."""

    group: str
    limit_s: int | None


class DatabaseSeen(Frozen, frozen=True):
    """A region's cluster, as RDS tells it."""

    arn: str
    status: str
    endpoint: str
    instances: tuple[Instance, ...] = ()
    guard: Guard | None = None
    snapshots: tuple[str, ...] = ()


class Position(Frozen, frozen=True):
    """How far a region's data reaches, asked of its database.

    `behind_s` is how old its last commit is; the payments and amounts are those of the minute
    before its last payment.
    """

    is_writable: bool
    epoch: int
    commit_at: str | None
    behind_s: float | None
    payments_per_min: int
    amounts_minor: dict[str, int] = msgspec.field(default_factory=dict)
    lag_ms: float | None = None


class Capacity(Frozen, frozen=True):
    """How many tasks a region has and may have; `healthy` are those that the balancer sends to."""

    running: int
    desired: int
    count_min: int
    count_max: int
    healthy: int | None = None


class AlarmSeen(Frozen, frozen=True):
    """An alarm that is on, or that has no data to judge by."""

    name: str
    state: str
    since: str


class RegionSeen(Frozen, frozen=True):
    """One region. `troubles` are the sentences of what could not be learned."""

    name: str
    database: DatabaseSeen | None = None
    position: Position | None = None
    capacity: Capacity | None = None
    alarms: tuple[AlarmSeen, ...] | None = None
    lag_ms: float | None = None
    is_ready: bool | None = None
    ready_text: str = ""
    troubles: tuple[str, ...] = ()

    @property
    def answers(self) -> bool:
        """Tell whether any of the region's APIs told anything."""
        return self.database is not None or self.capacity is not None


class Member(Frozen, frozen=True):
    """A member of the global cluster, and whether it follows, in RDS's words."""

    region: str
    arn: str
    is_writer: bool
    synchronization: str = ""


class Change(Frozen, frozen=True):
    """A change of the writer under way, in RDS's words."""

    status: str
    source: str
    target: str
    is_data_loss_allowed: bool


class GlobalSeen(Frozen, frozen=True):
    """The global cluster, as `told_by` tells it; a region that is cut off may be out of date."""

    told_by: str
    status: str
    members: tuple[Member, ...]
    change: Change | None = None

    @property
    def writer(self) -> str | None:
        """Return the region whose cluster writes."""
        return next((member.region for member in self.members if member.is_writer), None)

    def member(self, region: str) -> Member | None:
        """Return a region's member."""
        return next((member for member in self.members if member.region == region), None)


class DnsSeen(Frozen, frozen=True):
    """Where Route 53 leads the name that clients call, and what each region's check says."""

    answer: tuple[str, ...]
    checks: dict[str, str] = msgspec.field(default_factory=dict)


class Snapshot(Frozen, frozen=True):
    """Both regions and what is between them."""

    at: str
    regions: tuple[RegionSeen, ...]
    group: GlobalSeen | None = None
    lease: Lease | None = None
    # Whether the lease's counter moved while we looked; None where it was seen once or never.
    lease_moves: bool | None = None
    dns: DnsSeen | None = None
    troubles: tuple[str, ...] = ()

    def region(self, name: str) -> RegionSeen:
        """Return what was seen of a region."""
        return next(item for item in self.regions if item.name == name)

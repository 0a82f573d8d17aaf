"""What a switchover or a failover would do, in order, and what it would cost. Pure.

It is separate from carrying it out, so that a plan can be read before anything changes, and so that
the same steps stand in the plan, in the run and in its report.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from evertill.authority.lease import TAKEOVER_WAIT_S
from evertill.recovery.deployment import Deployment
from evertill.recovery.evaluate import ALARM, Left, needed, signs_of_life
from evertill.recovery.snapshot import Frozen, Position, Snapshot

Kind = Literal["switchover", "failover"]
SWITCHOVER: Final = "switchover"
FAILOVER: Final = "failover"
STEPS: Final = ("capacity", "fence", "database", "writable", "traffic", "payment", "after")
# Until another run has been measured. RDS is the guess among them: AWS promises minutes at most.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
USUAL_S: Final[dict[str, float]] = {
    "capacity": 90.0,
    "fence": 1.0,
    "database": 60.0,
    "writable": 3.0,
    "traffic": 35.0,
    "payment": 1.0,
    "after": 10.0,
}
# Steps during which no payment is taken; what is before and after costs time and no payments.
OUTAGE: Final = ("fence", "database", "writable")
MINUTE_S: Final = 60.0


class Precondition(Frozen, frozen=True):
    """What a step needs; `is_met` is None where nobody can tell."""

    text: str
    is_met: bool | None


class Step(Frozen, frozen=True):
    """One step of a plan."""

    name: str
    title: str
    calls: tuple[str, ...]
    expected_s: float
    preconditions: tuple[Precondition, ...] = ()


class Loss(Frozen, frozen=True):
    """What a failover is expected to lose, at most; None is not known."""

    seconds: float | None
    payments: int | None
    amounts_minor: dict[str, int] = msgspec.field(default_factory=dict)
    since: str | None = None
    text: str = ""


class Plan(Frozen, frozen=True):
    """A change of the writer, before it."""

    kind: Kind
    source: str
    target: str
    floor: int
    guard_s: int | None
    steps: tuple[Step, ...]
    loss: Loss
    phrase: str
    detected_at: str | None = None
    # The target writes already: database and lease are its.
    is_done: bool = False
    signs_of_life: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def outage_s(self) -> float:
        """Return for how long no payment is expected to be taken."""
        return sum(step.expected_s for step in self.steps if step.name in OUTAGE)

    @property
    def takes_s(self) -> float:
        """Return how long all of it is expected to take."""
        return sum(step.expected_s for step in self.steps)


def make_plan(
    kind: Kind,
    target: str,
    snapshot: Snapshot,
    deployment: Deployment,
    *,
    left: Left | None = None,
    measured_s: dict[str, float] | None = None,
) -> Plan:
    """Return the plan to let `target` write; `measured_s` are the steps of an earlier run."""
    source = deployment.other(target)
    expected_s = {**USUAL_S, **(measured_s or {})}
    if kind == FAILOVER:
        expected_s["fence"] = max(TAKEOVER_WAIT_S, expected_s["fence"])
        expected_s["capacity"] = USUAL_S["payment"]
    guard_s = _guard_s(snapshot, source, left)
    loss = Loss(
        seconds=0.0, payments=0, text="Nothing: the target has every commit before it writes."
    )
    if kind == FAILOVER:
        loss = expected_loss(snapshot.region(target).position, guard_s)
    return Plan(
        kind=kind,
        source=source,
        target=target,
        floor=max(needed(snapshot, deployment, source), left.floor if left else 0),
        guard_s=guard_s,
        steps=tuple(
            Step(
                name=name,
                title=_title(name, kind, source, target),
                calls=_calls(name, kind, source, target),
                expected_s=expected_s[name],
                preconditions=_preconditions(name, kind, snapshot, source, target),
            )
            for name in STEPS
        ),
        loss=loss,
        phrase=_phrase(kind, target, loss),
        detected_at=_detected_at(snapshot, loss.since),
        is_done=_is_done(snapshot, target),
        signs_of_life=signs_of_life(snapshot, source, target),
        refusals=_refusals(kind, snapshot, source, target),
        unknown=_unknown(kind, snapshot, source, target),
    )


def expected_loss(position: Position | None, guard_s: int | None) -> Loss:
    """Return what is lost at most if everything after the last replicated commit is.

    Payments went on after it for no longer than it is ago; the RPO guard, where it was set, stopped
    them earlier. Their rate is that of the minute before.
    """
    if position is None or position.behind_s is None:
        text = "Not known: the target's database does not tell how far it reaches."
        return Loss(seconds=None, payments=None, text=text)
    seconds = position.behind_s if guard_s is None else min(position.behind_s, float(guard_s))
    share = seconds / MINUTE_S
    why = "" if guard_s is None else f", bounded by the RPO guard of {guard_s} s"
    return Loss(
        seconds=round(seconds, 1),
        payments=math.ceil(position.payments_per_min * share),
        amounts_minor={
            currency: math.ceil(amount * share)
            for currency, amount in position.amounts_minor.items()
        },
        since=position.commit_at,
        text=(
            f"At most the payments after {position.commit_at}, the last commit that the target "
            f"has{why}. Which ones is known when the old region is back: reconcile lists each."
        ),
    )


def accepts(plan: Plan, typed: str) -> bool:
    """Tell whether what was typed confirms the plan: a loss may be confirmed larger than expected.

    By the time that somebody has typed it, a moment has passed; the number need not be the same.
    """
    words = " ".join(typed.lower().split())
    if words == plan.phrase:
        return True
    number = words.removeprefix("lose up to ").removesuffix(" payments")
    if plan.kind != FAILOVER or plan.loss.payments is None or not number.isdecimal():
        return False
    return words.startswith("lose up to ") and int(number) >= plan.loss.payments


def _is_done(snapshot: Snapshot, target: str) -> bool:
    group, lease = snapshot.group, snapshot.lease
    if group is None or lease is None:
        return False
    return (group.writer, lease.region, group.change) == (target, target, None)


def _detected_at(snapshot: Snapshot, since: str | None) -> str | None:
    """Return when the first alarm that rings now began to, after the last replicated commit."""
    alarms = [alarm for region in snapshot.regions for alarm in region.alarms or ()]
    rung = [alarm.since for alarm in alarms if alarm.state == ALARM]
    return min((at for at in rung if since is not None and at >= since), default=None)


def _phrase(kind: Kind, target: str, loss: Loss) -> str:
    if kind == SWITCHOVER:
        return f"switch over to {target}"
    if loss.payments is None:
        return "lose an unknown number of payments"
    return f"lose up to {loss.payments} payments"


def _guard_s(snapshot: Snapshot, source: str, left: Left | None) -> int | None:
    database = snapshot.region(source).database
    if database is not None and database.guard is not None:
        return database.guard.limit_s
    return left.guard_s if left is not None and left.writer == source else None


def _title(name: str, kind: Kind, source: str, target: str) -> str:
    fence = {
        SWITCHOVER: f"Fence the database of {source}, then take the lease from it",
        FAILOVER: f"Watch the lease of {source} stand still, then take it",
    }
    titles = {
        "capacity": f"Raise the capacity of {target}",
        "fence": fence[kind],
        "database": f"Let the database of {target} write",
        "writable": f"Commit in {target}, in the new epoch",
        "traffic": f"Wait until {target} is ready and DNS knows it",
        "payment": f"Take a payment in {target} and cancel it",
        "after": "Look after the RPO guard, capacity and alarms",
    }
    return titles[name]


def _calls(name: str, kind: Kind, source: str, target: str) -> tuple[str, ...]:
    planned = kind == SWITCHOVER
    calls: dict[str, tuple[str, ...]] = {
        "capacity": (
            f"{target}: application-autoscaling RegisterScalableTarget (MinCapacity)",
            f"{target}: ecs DescribeServices{', until the tasks run' if planned else ''}",
        ),
        "fence": (
            *((f"{source}: SQL raise_epoch, by its writer's endpoint",) if planned else ()),
            f"{target}: dynamodb GetItem and UpdateItem on the lease",
        ),
        "database": (
            f"{target}: rds ResetDBClusterParameterGroup (rds.global_db_rpo), if it is set",
            f"{source}: rds SwitchoverGlobalCluster"
            if planned
            else f"{target}: rds FailoverGlobalCluster (AllowDataLoss)",
            f"{target}: rds DescribeGlobalClusters, until it is done",
        ),
        "writable": (f"{target}: SQL raise_epoch, then a commit that changes nothing",),
        "traffic": (
            f"{target}: GET /ready, by its own name",
            f"{target}: route53 GetHealthCheckStatus and TestDNSAnswer, which may fail",
        ),
        "payment": (f"{target}: POST /v1/payments (capture: false), then /cancel",),
        "after": (
            f"{target}: rds ModifyDBClusterParameterGroup (rds.global_db_rpo)"
            if planned
            else f"{target}: the RPO guard stays off until there is a standby",
            *(
                (f"{source}: rds ResetDBClusterParameterGroup (rds.global_db_rpo)",)
                if planned
                else ()
            ),
            f"{target}: cloudwatch DescribeAlarms, secretsmanager DescribeSecret",
        ),
    }
    return calls[name]


def _preconditions(
    name: str, kind: Kind, snapshot: Snapshot, source: str, target: str
) -> tuple[Precondition, ...]:
    to, group, lease = snapshot.region(target), snapshot.group, snapshot.lease
    member = group.member(target) if group else None
    if name == "capacity":
        met = None if to.capacity is None else True
        return (Precondition(text=f"ECS of {target} answers", is_met=met),)
    if name == "fence" and kind == SWITCHOVER:
        old = snapshot.region(source).position
        text = f"the database of {source} takes a statement"
        return (Precondition(text=text, is_met=None if old is None else old.is_writable),)
    if name == "fence":
        still = None if snapshot.lease_moves is None else not snapshot.lease_moves
        text = "the lease can be read" if lease else "the lease is not known yet"
        return (
            Precondition(text=text, is_met=lease is not None),
            Precondition(text="its counter stands still", is_met=still),
        )
    if name == "database":
        idle = None if group is None else group.change is None
        found = [
            Precondition(
                text=f"{target} is a member of the global database",
                is_met=None if group is None else member is not None,
            ),
            Precondition(text="no other change of the writer is under way", is_met=idle),
        ]
        if kind == SWITCHOVER:
            follows = None if member is None else member.synchronization == "connected"
            found.append(Precondition(text=f"{target} follows {source}", is_met=follows))
        return tuple(found)
    return ()


def _refusals(kind: Kind, snapshot: Snapshot, source: str, target: str) -> tuple[str, ...]:
    found = []
    group = snapshot.group
    if group is None:
        found.append("RDS does not tell of the global database.")
    elif group.member(target) is None:
        found.append(f"{target} is no member of the global database: there is nothing to promote.")
    elif group.change is not None and group.change.target != target:
        found.append(f"RDS changes the writer to {group.change.target} already.")
    if kind == SWITCHOVER:
        if snapshot.region(source).database is None:
            found.append(
                f"{source} does not answer: a switchover needs both regions, a failover not."
            )
        member = group.member(target) if group else None
        if member is not None and not member.is_writer and member.synchronization != "connected":
            found.append(f"{target} does not follow: RDS says {member.synchronization!r}.")
    return tuple(found)


def _unknown(kind: Kind, snapshot: Snapshot, source: str, target: str) -> tuple[str, ...]:
    found = []
    if kind == FAILOVER:
        found.append(f"how many payments {source} answered after its last commit that {target} has")
        found.append(f"whether {source} still believes that it writes; the lease keeps it from it")
    if snapshot.region(target).capacity is None:
        found.append(f"how many tasks {target} runs")
    if snapshot.dns is None:
        found.append("what DNS answers: Route 53's API tells nothing (DNS itself goes on)")
    found.append("how long RDS takes: the figure is that of the last run, or a guess before one")
    found.append("how long clients keep an old answer of DNS: the record says 30 s")
    return tuple(found)

"""Bring a region back that was failed over from: as a standby first, then, by plan, as the writer.

After FailoverGlobalCluster Aurora itself builds the old primary anew as a secondary, once its
region is well; that takes minutes to hours and cannot be hurried. So this watches, keeps what would
expire, and ends where a switchover may begin. A cluster that is no member any more was detached by
somebody: making it anew deletes a volume, which no program of ours does.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from evertill.domain.errors import EvertillError
from evertill.recovery import rds
from evertill.recovery.errors import Forbidden, StepFailed
from evertill.recovery.guarding import set_guard
from evertill.recovery.observing import read_capacity, read_position
from evertill.recovery.snapshot import DatabaseSeen, GlobalSeen
from evertill.recovery.surroundings import Surroundings
from evertill.recovery.volumes import keep_volumes

REJOIN_TIMEOUT_S: Final = 6 * 3600.0
SYNC_TIMEOUT_S: Final = 3600.0
# AWS throttles who asks more often for hours.
POLL_INTERVAL_S: Final = 5.0
CONNECTED: Final = "connected"

Say = Callable[[str], None]


def rejoin(around: Surroundings, target: str, guard_s: int | None, say: Say) -> None:
    """Wait until `target` follows the writer, and set the guard; raise Forbidden or StepFailed.

    `guard_s` is the RPO guard as it was before the failover, None where there was none.
    """
    writer = _writer(around, target)
    _keep(around, target, say)
    _wait(around, REJOIN_TIMEOUT_S, say, lambda: _joining(around, target, writer))
    # Aurora takes the snapshot before it builds the new volume: by now it is there, if it ever is.
    _keep(around, target, say)
    _catch_up(around, writer, target, say)
    if guard_s is not None:
        done = set_guard(around, guard_s)
        say(f"The RPO guard of {done.region} is {done.limit_s} s.")
    for note in keep_in_mind(around, target):
        say(note)


def keep_in_mind(around: Surroundings, target: str) -> list[str]:
    """Return what is easily forgotten before a region writes again."""
    return [*_secret(around, target), *_floors(around)]


def _writer(around: Surroundings, target: str) -> str:
    """Return the region that writes now; raise Forbidden when there is nothing to go back to."""
    other = around.deployment.other(target)
    group = rds.read_global(around.region(other), around.deployment.global_database)
    if group.writer == target:
        raise Forbidden(f"{target} writes already.")
    if group.writer is None:
        raise Forbidden("No cluster of the global database writes: see `evertill recovery status`.")
    if group.member(target) is None:
        message = (
            f"The cluster of {target} is no member of {around.deployment.global_database}: it was "
            "detached, and Aurora does not take it back. docs/runbooks/failback.md says how it is "
            "made anew, after its volume was copied."
        )
        raise Forbidden(message)
    return group.writer


def _keep(around: Surroundings, target: str, say: Say) -> None:
    for volume in keep_volumes(around.region(target), around.deployment.database):
        verb = "is copied to" if volume.is_new else "was copied to"
        say(f"{volume.snapshot} {verb} {volume.copy}, which does not expire.")


def _joining(around: Surroundings, target: str, writer: str) -> str:
    """Return what is still missing until `target` is a standby, nothing when it is one."""
    try:
        group = rds.read_global(around.region(writer), around.deployment.global_database)
        cluster = rds.read_database(around.region(target), around.deployment.database)
    except EvertillError as failure:
        # A region that comes back answers some of its calls before others.
        return str(failure)
    return not_joined(group, cluster, target)


def not_joined(group: GlobalSeen, cluster: DatabaseSeen, target: str) -> str:
    """Return what is still missing until `target` follows the writer, nothing when it does."""
    member = group.member(target)
    if group.change is not None:
        return f"a change of the writer is under way: {group.change.status}"
    if member is None:
        return f"{target} is no member of the global database"
    # RDS may tell states that nobody has listed: only what we know to be good is good.
    if cluster.status != rds.AVAILABLE:
        return f"the cluster of {target} is {cluster.status}"
    if member.synchronization not in {CONNECTED, ""}:
        return f"the cluster of {target} is {member.synchronization}"
    waiting = [item.name for item in cluster.instances if item.status != rds.AVAILABLE]
    if not cluster.instances:
        return f"the cluster of {target} has no instance yet"
    return f"{', '.join(waiting)} not available yet" if waiting else ""


def _catch_up(around: Surroundings, writer: str, target: str, say: Say) -> None:
    """Wait until the standby has what the writer had when we began, in the writer's epoch."""
    goal = read_position(around.database(writer))

    def missing() -> str:
        try:
            found = read_position(around.database(target).impatient())
        except EvertillError as failure:
            return str(failure)
        if found.is_writable:
            return f"the database of {target} takes writes: it follows nobody"
        if found.epoch != goal.epoch:
            return f"{target} is in epoch {found.epoch}, {writer} in {goal.epoch}"
        return "" if _reaches(found.commit_at, goal.commit_at) else f"{target} is behind {writer}"

    _wait(around, SYNC_TIMEOUT_S, say, missing)
    say(f"{target} follows {writer} in epoch {goal.epoch} and has all that {writer} had.")


def _reaches(found: str | None, goal: str | None) -> bool:
    if goal is None:
        return True
    return found is not None and datetime.fromisoformat(found) >= datetime.fromisoformat(goal)


def _wait(around: Surroundings, timeout_s: float, say: Say, missing: Callable[[], str]) -> None:
    """Wait until nothing is missing, telling each new reason once; raise StepFailed."""
    pace, told = around.pace, ""
    end_s = pace.now_s() + timeout_s
    while reason := missing():
        if reason != told:
            say(f"Waiting: {reason.rstrip('.')}.")
            told = reason
        if pace.now_s() > end_s:
            message = (
                f"After {timeout_s / 60:.0f} minutes: {reason}. Run it again to go on waiting."
            )
            raise StepFailed(message)
        pace.sleep(POLL_INTERVAL_S)


def _secret(around: Surroundings, target: str) -> list[str]:
    """Tell whether the secret's primary is elsewhere: a replica cannot be changed."""
    named = around.deployment.admin_secret
    try:
        secret = around.region(target).call("secretsmanager", "describe_secret", SecretId=named)
    except EvertillError as failure:
        return [f"The administrator's secret: {failure}"]
    if secret.get("PrimaryRegion") in {None, target}:
        return []
    return [f"{named} is a replica in {target}, read-only until it is promoted."]


def _floors(around: Surroundings) -> list[str]:
    """Tell which floors recovery raised: a deployment neither lowers them nor knows of them."""
    usual = {
        name: around.deployment.tasks_min if index == 0 else around.deployment.standby_tasks_min
        for index, name in enumerate(around.deployment.regions)
    }
    notes = []
    for name, floor in usual.items():
        try:
            seen = read_capacity(around.region(name), around.deployment)
        except EvertillError as failure:
            notes.append(f"Capacity of {name}: {failure}")
            continue
        if seen.count_min > floor:
            notes.append(
                f"{name} has a floor of {seen.count_min} tasks, its settings say {floor}. A "
                "deployment leaves it so; lower it by hand when it is the standby again."
            )
        elif seen.count_min < floor:
            notes.append(
                f"{name} has a floor of {seen.count_min} tasks, LESS than its settings' {floor}: "
                "something reset it."
            )
    return notes

"""Keep the old region from writing, and only then give the lease to the target.

Switchover: the old database refuses its epoch, so nothing of it commits any more; then its lease is
taken without a wait. Failover: nobody reaches the old database. Its lease is watched until it is
over for sure. Where tasks of a region that was declared lost go on renewing, their lease is
taken from under them: every renewal is refused from that moment, what they have left ends within
the duration, and that is waited for while the target's database still takes no writes.
"""

from __future__ import annotations

from typing import Final

from evertill.authority.lease import TAKEOVER_WAIT_S, Lease, Take
from evertill.authority.table import LeaseUnreachable
from evertill.authority.taking import take_from_fenced
from evertill.recovery import rds
from evertill.recovery.errors import StepFailed
from evertill.recovery.steps.running import Run

# The old region's tasks renew many times a second: between a look and a take it may have moved.
TAKES_MAX: Final = 200
LOOK_INTERVAL_S: Final = 0.5
# A lease that moves for so long is renewed by tasks that live.
LIVING_AFTER_S: Final = 2 * TAKEOVER_WAIT_S
UNREACHABLE_MAX_S: Final = 300.0


def fence(run: Run) -> str:
    """Fence the old writer; return what was done."""
    return _fence_database(run) if run.is_switchover else _outwait(run)


def give_back(run: Run) -> str:
    """Let the old region write again: its database was fenced, and the target never could write."""
    lease = _take(run, run.plan.source, run.lease().epoch)
    return f"{run.plan.source} holds the lease again, in epoch {lease.epoch}"


def _fence_database(run: Run) -> str:
    lease, target = run.lease(), run.plan.target
    group = rds.read_global(run.around.region(target), run.around.deployment.global_database)
    if group.writer == target:
        # What is left of a switchover that was broken off: the other database takes no writes.
        taken = _take(run, target, lease.epoch)
        run.journal.note(epoch=taken.epoch)
        return f"{target} has the database already, and the lease in epoch {taken.epoch}"
    database = run.around.database(run.plan.source)
    if lease.region == target:
        # Taken before a kill; the database was fenced before that.
        database.ask("writer", "raise_epoch", epoch=lease.epoch, region=target)
        run.journal.note(epoch=lease.epoch)
        return f"{target} holds the lease in epoch {lease.epoch}"
    database.ask("writer", "raise_epoch", epoch=lease.epoch + 1, region=run.plan.target)
    run.journal.note(fenced_epoch=lease.epoch + 1)
    fenced = database.ask("writer", "standing")[0][1]
    taken = _take(run, run.plan.target, fenced)
    if taken.epoch > fenced:
        database.ask("writer", "raise_epoch", epoch=taken.epoch, region=run.plan.target)
    run.journal.note(epoch=taken.epoch)
    return (
        f"nothing commits in {run.plan.source} any more; epoch {taken.epoch} is {run.plan.target}'s"
    )


def _take(run: Run, region: str, epoch: int) -> Lease:
    """Take the lease from a fenced holder, in an epoch that is not before `epoch`."""
    leases = run.around.leases([run.plan.target])
    for _ in range(TAKES_MAX):
        seen = run.lease()
        if seen.region == region and seen.epoch >= epoch:
            return seen
        answer = leases.call(take_from_fenced(seen, region))
        if isinstance(answer, Lease) and answer.epoch >= epoch:
            return answer
    raise StepFailed(f"The lease moved away {TAKES_MAX} times. Run the same command again.")


def _outwait(run: Run) -> str:
    begun_s = run.pace.now_s()
    target = run.plan.target
    while True:
        seen = _look(run, begun_s)
        if seen is not None and seen.region == target:
            return _ours(run, seen, begun_s)
        if seen is not None:
            run.taker.saw(seen, run.pace.now_s())
            lease = _try(run, run.taker.take(run.pace.now_s()))
            if lease is None and run.pace.now_s() - begun_s > LIVING_AFTER_S:
                lease = _take_from_living(run, seen)
            if lease is not None:
                return _ours(run, lease, begun_s)
        run.pace.sleep(LOOK_INTERVAL_S)


def _look(run: Run, begun_s: float) -> Lease | None:
    try:
        return run.lease()
    except LeaseUnreachable as failure:
        if run.pace.now_s() - begun_s > UNREACHABLE_MAX_S:
            raise
        run.say(f"   {failure} Asked again.")
        return None


def _try(run: Run, take: Take | None) -> Lease | None:
    if take is None:
        return None
    try:
        answer = run.around.leases([run.plan.target]).call(take)
    except LeaseUnreachable:
        # It may have been done: the next look tells.
        return None
    return answer if isinstance(answer, Lease) else None


def _take_from_living(run: Run, seen: Lease) -> Lease | None:
    if not run.facts.get("taken_from_living"):
        run.say(f"   {seen.region} goes on renewing: its lease is taken from under it.")
        # Before the call: who goes on from here has to wait, whether it arrived or not.
        run.journal.note(taken_from_living=True)
    return _try(run, take_from_fenced(seen, run.plan.target))


def _ours(run: Run, lease: Lease, begun_s: float) -> str:
    if run.facts.get("taken_from_living") and not run.facts.get("living_over"):
        run.say(f"   Waiting {TAKEOVER_WAIT_S:.1f} s until what they have left is over.")
        run.pace.sleep(TAKEOVER_WAIT_S)
        run.journal.note(living_over=True)
    run.journal.note(epoch=lease.epoch, waited_s=round(run.pace.now_s() - begun_s, 1))
    return f"{run.plan.target} holds the lease in epoch {lease.epoch}"

"""A world for the lease: clocks that drift, messages that are lost, processes that pause.

Everything is decided by one seed, so a run that breaks the invariant can be had again. Time is the
world's own, which none of the actors sees.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from evertill.authority.holding import Authority, Holder
from evertill.authority.lease import DRIFT_MAX, Answer, Ask, Lease, Look, Refused
from evertill.authority.taking import Taker, take_from_fenced

REGIONS = ("us-east-1", "us-east-2")
CALL_TIMEOUT_S = 1.0


@dataclass
class LocalClock:
    """A clock within the stated bound of drift, which started anywhere."""

    rate: float
    offset_s: float

    def at(self, true_s: float) -> float:
        return true_s * self.rate + self.offset_s

    def true_delay(self, local_s: float) -> float:
        return local_s / self.rate


@dataclass
class Database:
    """What a region's database checks: its row's epoch, and a deadline by its own clock."""

    clock: LocalClock
    is_writable: bool
    epoch: int = 0
    jumped_at: list[float] = field(default_factory=list)

    def jump(self, true_s: float, by_s: float) -> None:
        self.clock.offset_s += by_s
        self.jumped_at.append(true_s)


@dataclass
class Commit:
    """A commit: when its check passed, when it landed, and whether a caller was told of it."""

    region: str
    epoch: int
    began_s: float
    checked_s: float
    landed_s: float
    is_acknowledged: bool = False


@dataclass
class Change:
    """A change of the lease's region."""

    epoch: int
    at_s: float


class World:
    """Runs tasks, takers and faults over one lease and two databases."""

    def __init__(self, seed: int, *, tasks: int = 2) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a story, no secret
        self.now_s = 0.0
        self.lease: Lease | None = None
        self.changes: list[Change] = []
        self.overlaps: list[Change] = []
        self.commits: list[Commit] = []
        self.cut: set[str] = set()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.databases = {
            region: Database(self.clock(), is_writable=region == REGIONS[0]) for region in REGIONS
        }
        self.tasks = [Task(self, region) for region in REGIONS for _ in range(tasks)]

    def clock(self) -> LocalClock:
        drift = self.random.choice((-DRIFT_MAX, 0.0, DRIFT_MAX, self.random.uniform(-1, 1) / 100))
        return LocalClock(1 + drift, self.random.uniform(-1e6, 1e6))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._numbers), action))

    def run(self, until_s: float) -> None:
        while self._queue and self._queue[0][0] <= until_s:
            self.now_s, _, action = heapq.heappop(self._queue)
            action()

    def delay_s(self) -> float:
        """Return how long a message takes: mostly little, sometimes long."""
        return self.random.choice((0.001, 0.01, 0.1, self.random.uniform(0, 6)))

    def call(self, region: str, ask: Ask, answered: Callable[[Answer], None]) -> None:
        """Carry a call to the table and its answer back; either may be lost."""
        if region in self.cut or self.random.random() < 0.05:
            return

        def arrive() -> None:
            answer = self.apply(ask)
            if region not in self.cut and self.random.random() > 0.05:
                self.after(self.delay_s(), lambda: answered(answer))

        self.after(self.delay_s(), arrive)

    def apply(self, ask: Ask) -> Answer:
        if isinstance(ask, Look):
            return self.lease or Refused()
        lease = ask.apply(self.lease)
        if lease is None:
            return Refused()
        if self.lease is None or lease.epoch != self.lease.epoch:
            self._change(Change(lease.epoch, self.now_s))
        self.lease = lease
        return lease

    def _change(self, change: Change) -> None:
        """Note a new epoch, and whether a task could still commit in an older one."""
        self.changes.append(change)
        if any(
            task.holder.authority.lasts(task.local_s())
            and task.holder.authority.epoch == self.databases[task.region].epoch < change.epoch
            for task in self.tasks
        ):
            self.overlaps.append(change)

    def broken(self) -> list[Commit | Change]:
        """Return the changes that came too early, and the commits that came too late."""
        return [*self.overlaps, *(commit for commit in self.commits if self._is_broken(commit))]

    def _is_broken(self, commit: Commit) -> bool:
        over_s = min(
            (change.at_s for change in self.changes if change.epoch > commit.epoch),
            default=float("inf"),
        )
        if commit.is_acknowledged and commit.landed_s >= over_s:
            return True
        # A wall clock that jumps inside a transaction can deceive its check; nobody is told then.
        jumps = self.databases[commit.region].jumped_at
        was_deceived = any(commit.began_s <= at <= commit.checked_s for at in jumps)
        return commit.checked_s >= over_s and not was_deceived


class Task:
    """A process of the service: renews, commits, and pauses whenever it likes."""

    def __init__(self, world: World, region: str) -> None:
        self.world = world
        self.region = region
        self.clock = world.clock()
        self.holder = Holder(region)
        self.paused_until_s = 0.0
        self.calls = itertools.count(1)
        self.current = 0
        world.after(world.random.uniform(0, 3), self.ask)
        world.after(world.random.uniform(0, 3), self.begin)

    def local_s(self) -> float:
        return self.clock.at(self.world.now_s)

    def soon(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something later, and not before a pause is over."""

        def unless_paused() -> None:
            rest_s = self.paused_until_s - self.world.now_s
            if rest_s > 0:
                self.world.after(rest_s, unless_paused)
            else:
                action()

        self.world.after(delay_s, unless_paused)

    def pause(self, seconds: float) -> None:
        self.paused_until_s = max(self.paused_until_s, self.world.now_s + seconds)

    def ask(self) -> None:
        self.current = number = next(self.calls)
        asked_s = self.local_s()
        ask = self.holder.ask(may_found=self.world.databases[self.region].is_writable)
        # A process may be paused between reading its clock and sending.
        self.pause(self.world.random.choice((0.0,) * 9 + (self.world.random.uniform(0, 25),)))

        def send() -> None:
            self.world.call(self.region, ask, lambda answer: self.soon(0, lambda: heard(answer)))
            self.soon(self.clock.true_delay(CALL_TIMEOUT_S), lambda: heard(None))

        def heard(answer: Answer | None) -> None:
            if self.current != number:
                return
            self.current = 0
            self.holder.hear(ask, asked_s, answer)
            self.adopt()
            wait_s = max(0.0, self.holder.next_s - self.local_s())
            self.soon(self.clock.true_delay(wait_s), self.ask)

        self.soon(0, send)

    def adopt(self) -> None:
        """Bring the database's row to the epoch that this task may write in."""
        database, authority = self.world.databases[self.region], self.holder.authority
        if database.is_writable and authority.lasts(self.local_s()):
            database.epoch = max(database.epoch, authority.epoch)

    def begin(self) -> None:
        """Begin a transaction if this task thinks that it may, and look at the database's clock."""
        self.soon(self.world.random.uniform(0.2, 2), self.begin)
        authority, began_s = self.holder.authority, self.world.now_s
        if not authority.lasts(self.local_s()):
            return
        database = self.world.databases[self.region]

        def looked() -> None:
            sampled_s = database.clock.at(self.world.now_s)
            self.soon(self.world.delay_s(), lambda: record(sampled_s))

        def record(sampled_s: float) -> None:
            until_s = sampled_s + (authority.until_s - self.local_s())
            self.soon(self.world.delay_s(), lambda: self.check(authority, until_s, began_s))

        self.soon(self.world.delay_s(), looked)

    def check(self, authority: Authority, until_s: float, began_s: float) -> None:
        """Commit if the epoch is the row's and the deadline is not over: the database's part."""
        now_s, database = self.world.now_s, self.world.databases[self.region]
        is_over = database.clock.at(now_s) >= until_s
        if not database.is_writable or database.epoch != authority.epoch or is_over:
            return
        # The commit may wait for a standby, for long.
        held_s = self.world.random.choice((0.0, 0.01, self.world.random.uniform(0, 40)))
        commit = Commit(self.region, authority.epoch, began_s, now_s, now_s + held_s)
        self.world.commits.append(commit)
        self.soon(held_s + self.world.delay_s(), lambda: self.acknowledge(commit))

    def acknowledge(self, commit: Commit) -> None:
        authority = self.holder.authority
        commit.is_acknowledged = authority.epoch == commit.epoch and authority.lasts(self.local_s())


class Operator:
    """Whoever runs a recovery for a region: watches, waits, takes, promotes."""

    def __init__(self, world: World, region: str) -> None:
        self.world = world
        self.region = region
        self.clock = world.clock()
        self.taker = Taker(region)
        self.is_done = False

    def local_s(self) -> float:
        return self.clock.at(self.world.now_s)

    def fail_over(self) -> None:
        """Look, and take the lease once it may be taken; any answer may be lost."""
        if self.is_done:
            return
        take = self.taker.take(self.local_s())
        self.world.call(self.region, take or Look(), self._answered)
        self.world.after(self.world.random.uniform(0.3, 1.5), self.fail_over)

    def _answered(self, answer: Answer) -> None:
        if self.is_done or not isinstance(answer, Lease):
            return
        if self.taker.has_taken(answer):
            self._promote(answer)
        else:
            self.taker.saw(answer, self.local_s())

    def _promote(self, lease: Lease) -> None:
        self.is_done = True
        database = self.world.databases[self.region]
        database.is_writable = True
        database.epoch = max(database.epoch, lease.epoch)

    def switch_over(self) -> None:
        """Fence the old writer in its database, move the database, and take the lease at once."""
        lease = self.world.lease
        if lease is None or lease.region == self.region:
            return
        old = self.world.databases[lease.region]
        old.epoch = max(old.epoch, lease.epoch + 1)

        def move() -> None:
            old.is_writable = False
            current = self.world.lease
            if current is None or current.epoch != lease.epoch:
                return
            if isinstance(self.world.apply(take_from_fenced(current, self.region)), Lease):
                self._promote(self.world.lease or current)

        # The fence's lock waits for the transactions that passed their check, and they for it.
        landed_s = [
            commit.landed_s for commit in self.world.commits if commit.region == lease.region
        ]
        wait_s = max(0.0, max(landed_s, default=0.0) - self.world.now_s)
        self.world.after(wait_s + self.world.random.uniform(0, 5), move)

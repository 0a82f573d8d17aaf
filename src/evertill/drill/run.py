"""One drill from its beginning to its verdict.

    ready -> load -> steps -> calm -> replays -> everything handed over -> read -> judge

It is separate from its parts so that the order, which is what makes a verdict fair, is in one
place: nothing is read before the load has ended and the log has what the database has.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from evertill.domain.errors import EvertillError
from evertill.drill.acting import Actor, Done, Watch
from evertill.drill.adds import adds
from evertill.drill.books import Books, read_books
from evertill.drill.bounds import broken
from evertill.drill.chaos import chaos_steps
from evertill.drill.checker import Evidence, Lost, Verdict, judge, lost
from evertill.drill.errors import GroundUnready
from evertill.drill.figures import Seen, observe
from evertill.drill.files import Drill
from evertill.drill.ground import Copy, Ground
from evertill.drill.history import HistoryFile, begin, read_history
from evertill.drill.log import LogBooks, read_log
from evertill.drill.recovering import Recovery
from evertill.drill.report import Report, figures_of, machine
from evertill.drill.sending import Sender
from evertill.drill.steps import Step
from evertill.drill.workload import Clients
from evertill.journal.stores import StoreUnavailable

# How long the log may take to have what the database has, and its copies to be whole.
DELIVERED_TIMEOUT_S: Final = 90.0
POLL_S: Final = 0.5
RUN_ID_BYTES: Final = 4

Say = Callable[[str], None]


async def run_drill(drill: Drill, name: str, ground: Ground, folder: Path, say: Say) -> Report:
    """Run a drill on a ground that is steady, with its history in `folder`; return its report.

    What keeps a step from being done ends the drill early, and fails it; it is judged all the same.
    """
    run = secrets.token_hex(RUN_ID_BYTES)
    file = begin(folder / f"history-{run}.ndjson", run, drill.seed)
    watch = Watch(ground)
    recovery = Recovery(ground, folder / f"recovery-{run}")
    actor = Actor(
        ground,
        watch,
        recovery,
        now_s=file.now_s,
        count_lost=lambda: _lost_now(ground, file),
    )
    began_at = time.time()
    await watch.look()
    async with watch.watching(), file.writing():
        failure = await _load_and_act(drill, ground, actor, file, say)
    say("The load has ended; the databases, the log and the history are compared.")
    evidence = await _gather(file, ground, watch)
    marked_s = _mark(actor.done, drill.marked)
    seen = observe(evidence.history, marked_s, float("inf"))
    verdict = await asyncio.to_thread(judge, evidence)
    return _report(drill, name, ground, (seen, verdict, actor.done, watch, failure), began_at)


async def _load_and_act(
    drill: Drill, ground: Ground, actor: Actor, file: HistoryFile, say: Say
) -> str:
    """Run the load while the steps are done; return what kept one of them from being done."""
    workload = drill.workload
    sender = Sender(ground.key, ground.context, workload.timeout_s)
    chance = random.Random(f"{drill.seed} doors")  # noqa: S311 - no secret
    clients = Clients(workload, ground.doors(workload.observers, chance), sender, file)
    stopping = asyncio.Event()
    loading = asyncio.create_task(clients.run(stopping))
    failure = ""
    try:
        await actor.pause(drill.before_s)
        await actor.act(_steps(drill), say)
        await actor.pause(drill.after_s)
    except EvertillError as error:
        failure = str(error)
        say(f"{file.now_s():7.1f} s  {failure}")
    finally:
        stopping.set()
        await loading
    await clients.replay()
    await sender.close()
    return failure


def _steps(drill: Drill) -> list[Step]:
    drawn = chaos_steps(drill.chaos, drill.seed) if drill.chaos is not None else ()
    return [*drill.steps, *drawn]


async def _gather(file: HistoryFile, ground: Ground, watch: Watch) -> Evidence:
    """Read everything, once the log has what the database has; raise GroundUnready without it."""
    deadline_s = time.monotonic() + DELIVERED_TIMEOUT_S
    current, logs, found = None, list[LogBooks](), list[Books]()
    while not (current and _is_handed_over(current, logs)) and time.monotonic() < deadline_s:
        await asyncio.sleep(POLL_S)
        found = await asyncio.to_thread(_books, ground)
        current = _current(found)
        if current is not None:
            logs = await asyncio.to_thread(_logs, ground.logs(), current.merchant)
    if current is None:
        raise GroundUnready("No database that takes payments can be read in the end.")
    return Evidence(
        history=read_history(file.path),
        books=current,
        others=[books for books in found if books is not current],
        logs=logs,
        epochs=list(watch.epochs.values()),
    )


def _lost_now(ground: Ground, file: HistoryFile) -> list[Lost]:
    """Return what is missing at this moment, of what was acknowledged so far."""
    history = read_history(file.path)
    books = _current(_books(ground))
    return [] if books is None else lost(Evidence(history=history, books=books))


def _is_handed_over(books: Books, logs: Iterable[LogBooks]) -> bool:
    return not books.undelivered and not any(log.breaks for log in logs)


def _books(ground: Ground) -> list[Books]:
    found = []
    for place, url in ground.databases():
        try:
            books = read_books(place, url, ground.key)
        except psycopg.Error:
            # It was there a moment ago; what cannot be read is no witness.
            continue
        if books is not None:
            found.append(books)
    return found


def _current(found: Iterable[Books]) -> Books | None:
    """Return the books of who may write: of the latest epoch, should two say that they are."""
    writers = [books for books in found if not books.is_standby]
    return max(writers, key=lambda books: books.epoch, default=None)


def _logs(copies: Iterable[Copy], merchant: int) -> list[LogBooks]:
    found = []
    for copy in copies:
        try:
            found.append(read_log(copy.place, copy.store, merchant))
        except StoreUnavailable:
            continue
    return found


def _mark(done: Iterable[Done], label: str) -> float | None:
    """Return when the step began that times are counted from."""
    steps = list(done)
    named = next((step for step in steps if step.label == label), None)
    first = named or (steps[0] if steps else None)
    return None if first is None else first.began_s


def _report(
    drill: Drill,
    name: str,
    ground: Ground,
    found: tuple[Seen, Verdict, list[Done], Watch, str],
    began_at: float,
) -> Report:
    seen, verdict, done, watch, failure = found
    marked_s = _mark(done, drill.marked)
    alarms: Mapping[str, float] = {}
    if marked_s is not None:
        moments = {
            f"{alarm.region} {alarm.name}": watch.moment(alarm.at_s) - began_at - marked_s
            for alarm in sorted(watch.alarms, key=lambda alarm: -alarm.at_s)
        }
        alarms = {alarm: round(at_s, 1) for alarm, at_s in moments.items() if at_s >= 0}
    figures = figures_of(seen, verdict, done, marked_s, alarms)
    bounds = list(broken(figures, drill.bounds, drill.at_least))
    return Report(
        drill=name,
        began_at=datetime.fromtimestamp(began_at, UTC).isoformat(timespec="seconds"),
        machine=machine(),
        title=drill.title,
        speed=ground.speed,
        seed=drill.seed,
        is_passed=not (bounds or verdict.violations or failure),
        failure=failure,
        figures=figures,
        bounds={**drill.bounds, **drill.at_least},
        broken=bounds,
        violations=verdict.violations,
        lost=verdict.lost,
        steps=done,
        aws_adds=adds(drill.aws_adds),
    )

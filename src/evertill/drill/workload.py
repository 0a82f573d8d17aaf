"""Clients outside the regions: they want payments at a steady rate, whatever the platform does.

The rate is open: a payment that is due is due, also while earlier ones wait, so a gap of the
platform is a gap in the history and not a pause of the load. Each client sends one request until it
has a definite answer or its patience ends, always under the same key, as a good client does.
Equal seeds make equal choices.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from evertill.drill.doors import Door
from evertill.drill.history import (
    FAILED,
    OK,
    UNKNOWN,
    Closed,
    Ended,
    HeldBack,
    HistoryFile,
    Outcome,
    Request,
    Sent,
)
from evertill.drill.sending import Answer, Sender

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 2.0
BACKOFF_DOUBLINGS_MAX: Final = 6
DECLINED: Final = "declined"
AMOUNT_MIN_MINOR: Final = 100
AMOUNT_MAX_MINOR: Final = 10_000
# Of what was taken, so many are sent once more in the end: of all times of the drill, by chance.
REPLAYED_SHARE: Final = 0.1
REPLAYS_MAX: Final = 200
REPLAY_TRIES_MAX: Final = 3
# So many that no rule about one source's velocity applies, which is not what is drilled.
SOURCES: Final = 100_000


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many payments are wanted, by whom, and how patient clients are."""

    payments_per_s: float = 20.0
    observers: tuple[str, ...] = ("active", "public")
    currencies: tuple[str, ...] = ("USD", "EUR", "JPY")
    # Of the payments, so many are captured at once; of those, so many are refunded in part.
    captured_share: float = 0.7
    refunded_share: float = 0.15
    # Of those that are not captured at once, so many are captured later, and so many canceled.
    captured_later_share: float = 0.5
    canceled_share: float = 0.25
    in_flight_max: int = 600
    retries_max: int = 100
    patience_s: float = 120.0
    # The service ends each request after 5 s; the rest is the way there and back.
    timeout_s: float = 8.0


class Wish(NamedTuple):
    """What a client wants done; `target` is the payment that it is about, if there is one yet."""

    operation: str
    target: str
    body: Mapping[str, Any]


class _Client(NamedTuple):
    """Somebody who wants payments: where he goes, and what chance has him do."""

    door: Door
    chance: random.Random


class Clients:
    """The load while it runs."""

    def __init__(
        self,
        workload: Workload,
        doors: Sequence[Door],
        sender: Sender,
        history: HistoryFile,
    ) -> None:
        """Send through `doors` in turn, noting everything in `history`."""
        self._workload = workload
        self._doors = list(doors)
        self._sender = sender
        self._history = history
        self._seed = history.begun.seed
        # Payments and requests are counted apart: which moves follow depends on answers, and the
        # choices of a seed must not.
        self._payments = 0
        self._numbers = 0
        self._taken: deque[tuple[Request, int]] = deque(maxlen=REPLAYS_MAX)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Want payments until told to stop, then wait for those in flight."""
        interval_s = 1 / self._workload.payments_per_s
        chance = random.Random(f"{self._seed} arrivals")  # noqa: S311 - no secret
        due_s, turn = self._history.now_s(), 0
        while not stopping.is_set() and not self._failures:
            # Exponential pauses: payments of many people fall together now and then.
            due_s += chance.expovariate(1) * interval_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due_s - self._history.now_s())):
                    await stopping.wait()
                    break
            await self._want(self._doors[turn % len(self._doors)], due_s)
            turn += 1
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        if self._failures:
            raise self._failures[0]

    async def replay(self) -> None:
        """Send some of what was taken once more, in no hurry: the answers must be the same."""
        door = self._doors[0]
        for request, tries in self._taken:
            for attempt in range(tries + 1, tries + 1 + REPLAY_TRIES_MAX):
                answer = await self._try(door, request, attempt, ())
                if answer is not None and answer.is_final:
                    break
                await asyncio.sleep(BACKOFF_MAX_S)

    async def _want(self, door: Door, due_s: float) -> None:
        if len(self._in_flight) >= self._workload.in_flight_max:
            await self._history.note(HeldBack(due_s, door.name))
            return
        self._payments += 1
        task = asyncio.create_task(self._one_payment(door, due_s, self._payments))
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)

    async def _one_payment(self, door: Door, due_s: float, number: int) -> None:
        """Take one payment and perhaps move it on."""
        load = self._workload
        chance = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        amount, is_captured = _amount(chance), chance.random() < load.captured_share
        body = {
            "amount": amount,
            "currency": chance.choice(load.currencies),
            "source": f"tok_{chance.randrange(SOURCES)}",
            "capture": is_captured,
            # Of this run alone: a drill that is repeated within a minute repeats no payment.
            "reference": f"{self._history.begun.run}-{number}",
        }
        move, fate = chance.random(), chance.randint(1, amount)
        client = _Client(door, chance)
        taken = await self._ask(client, due_s, Wish("create", "", body))
        if taken is None:
            return
        payment = json.loads(taken)
        if payment["status"] == DECLINED:
            return
        target = str(payment["id"])
        now_s = self._history.now_s()
        if is_captured and move < load.refunded_share:
            await self._ask(client, now_s, Wish("refunds", target, {"amount": fate}))
        elif not is_captured and move < load.captured_later_share:
            await self._ask(client, now_s, Wish("capture", target, {"amount": fate}))
        elif not is_captured and move < load.captured_later_share + load.canceled_share:
            await self._ask(client, now_s, Wish("cancel", target, {}))

    async def _ask(self, client: _Client, due_s: float, wish: Wish) -> str | None:
        """Send until the outcome is definite; return the answer when it is a success."""
        request = self._request(client.door.name, due_s, wish)
        outcomes: list[Outcome] = []
        answer: Answer | None = None
        unwritten: tuple[Request, ...] = (request,)
        began_s = self._history.now_s()
        for attempt in range(self._workload.retries_max + 1):
            answer = await self._try(client.door, request, len(outcomes) + 1, unwritten)
            if answer is not None:
                outcomes.append(answer.outcome)
                unwritten = ()
                if answer.is_final:
                    break
            asked_s = answer.pause_s if answer is not None else 0.0
            pause_s = asked_s + _backoff_s(attempt, client.chance)
            if self._history.now_s() + pause_s - began_s > self._workload.patience_s:
                break
            await asyncio.sleep(pause_s)
        closed = Closed(request.number, self._history.now_s(), _sum_up(outcomes))
        # Where the name had no address all the time, it was wanted and never sent.
        await self._history.note(*unwritten, closed)
        if answer is None or answer.outcome != OK:
            return None
        if client.chance.random() < REPLAYED_SHARE:
            self._taken.append((request, len(outcomes)))
        return answer.body

    def _request(self, observer: str, due_s: float, wish: Wish) -> Request:
        self._numbers += 1
        key = f"drill-{self._history.begun.run}-{self._numbers}"
        body = json.dumps(wish.body, sort_keys=True)
        return Request(self._numbers, due_s, observer, wish.operation, wish.target, key, body)

    async def _try(
        self, door: Door, request: Request, attempt: int, first: Sequence[Request]
    ) -> Answer | None:
        """Send once; return None when the name has no address."""
        place = await door.place()
        if place is None:
            return None
        sent_s = self._history.now_s()
        sent = Sent(request.number, attempt, sent_s, place.region, place.url)
        await self._history.note(*first, sent)
        began_s = self._history.now_s()
        answer = await self._sender.send(place, request)
        ended_s = self._history.now_s()
        if not answer.is_final:
            door.refused(place, is_answered=answer.status != 0)
        told = (answer.outcome, answer.status, answer.code, answer.body, answer.is_replayed)
        took_s = ended_s - began_s
        await self._history.note(Ended(request.number, attempt, ended_s, *told, took_s))
        return answer


def _amount(chance: random.Random) -> int:
    return chance.randint(AMOUNT_MIN_MINOR, AMOUNT_MAX_MINOR)


def _backoff_s(attempt: int, chance: random.Random) -> float:
    # The jitter keeps clients that failed together from coming back together.
    top_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt, BACKOFF_DOUBLINGS_MAX))
    return chance.uniform(top_s / 2, top_s)


def _sum_up(outcomes: Sequence[Outcome]) -> Outcome:
    if OK in outcomes:
        return OK
    return UNKNOWN if UNKNOWN in outcomes else FAILED

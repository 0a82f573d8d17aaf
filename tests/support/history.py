"""A client-side history of every request and outcome, load that keeps one, and its checker.

What a service did to payments can only be judged by somebody who remembers what was asked and what
was answered. Clients here never guess: a request without a definite answer is unknown, and is sent
again under the same key until it has one. `violations` then compares the history with the database
and names each broken invariant of DESIGN.md by its number.
"""

from __future__ import annotations

import itertools
import random
import secrets
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import httpx
import msgspec
from tests.support.postgres import Database
from tests.support.service import Merchant, wait_until

from evertill.domain.idempotency import scope_digest

# The service ends every request after 5 s; the rest is for the machine that runs the tests.
DEADLINE_S: Final = 5.0
MARGIN_S: Final = 3.0
CLIENT_TIMEOUT_S: Final = 20.0
PATIENCE_S: Final = 60.0
RETRY_PAUSE_S: Final = 0.02
JOIN_TIMEOUT_S: Final = 90.0

SUCCESS, FAILURE, UNKNOWN = "success", "failure", "unknown"
# Answers after which the same request may be sent again; only 504 leaves its outcome open.
RETRIED_CODES: Final = frozenset(
    {"key_in_flight", "rate_limited", "overloaded", "unavailable", "outcome_unknown"}
)

# Written down anew and not imported: a history is judged by the design, not by the code.
PATHS: Final = {
    "": {"authorized", "captured", "declined"},
    "authorized": {"captured", "canceled", "expired"},
    "captured": {"refunded"},
    "refunded": {"refunded"},
    "canceled": set[str](),
    "expired": set[str](),
    "declined": set[str](),
}

ENTRIES_THAT_DO_NOT_SUM = """
    SELECT subject_id::text, currency FROM ledger_entries
    GROUP BY subject_id, sequence, currency HAVING sum(amount_minor) <> 0
"""
BALANCES_THAT_ARE_NOT_THEIR_ENTRIES = """
    WITH stored AS (
        SELECT merchant_id, currency, account, amount FROM current_balances
        CROSS JOIN LATERAL (VALUES ('acquirer_receivable', acquirer_receivable),
            ('authorization_holds', authorization_holds), ('merchant_pending', merchant_pending),
            ('merchant_available', merchant_available), ('fees', fees),
            ('refunds_payable', refunds_payable)) AS a (account, amount)
    ), counted AS (
        SELECT merchant_id, currency, account, sum(amount_minor)::bigint AS amount
        FROM ledger_entries GROUP BY merchant_id, currency, account
    )
    SELECT merchant_id, currency, account, stored.amount, counted.amount
    FROM stored FULL JOIN counted USING (merchant_id, currency, account)
    WHERE coalesce(stored.amount, 0) <> coalesce(counted.amount, 0)
"""
KEYED_EVENTS = "SELECT key_digest, answer FROM events WHERE merchant_id = %s AND key_digest NOTNULL"
PAYMENTS = """
    SELECT p.payment_id, status, amount_minor, captured_minor, refunded_minor,
        (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds AS r
            WHERE (r.merchant_id, r.payment_id) = (p.merchant_id, p.payment_id)),
        (SELECT array_agg(type ORDER BY transaction_id, event_id) FROM events AS e
            WHERE (e.merchant_id, e.payment_id) = (p.merchant_id, p.payment_id)),
        (SELECT array_agg(key_digest) FROM events AS e WHERE key_digest NOTNULL
            AND (e.merchant_id, e.payment_id) = (p.merchant_id, p.payment_id))
    FROM payments AS p WHERE merchant_id = %s
"""


class Request(NamedTuple):
    """What a client asks, under one key; `operation` and `target` are the key's scope."""

    operation: str
    target: str
    key: str
    body: bytes

    @property
    def path(self) -> str:
        """The address that it is sent to."""
        if self.operation == "create":
            return "/v1/payments"
        return f"/v1/payments/{self.target}/{self.operation}"


class Outcome(NamedTuple):
    """How one sending of a request ended, and after how long."""

    kind: str
    seconds: float
    status: int = 0
    body: bytes = b""
    replayed: bool = False


class History:
    """Every request that was sent, with all its outcomes, in the order of their ends."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self.outcomes: dict[Request, list[Outcome]] = defaultdict(list)
        self.given_up: list[Request] = []

    def begin(self, request: Request) -> None:
        """Note that a request is about to be sent."""
        with self._lock:
            self.outcomes[request] = []

    def note(self, request: Request, outcome: Outcome) -> None:
        """Add an outcome."""
        with self._lock:
            self.outcomes[request].append(outcome)

    def give_up(self, request: Request) -> None:
        """Note that a request never had a definite outcome."""
        with self._lock:
            self.given_up.append(request)

    def count(self, kind: str) -> int:
        """Count outcomes of a kind."""
        with self._lock:
            every = itertools.chain.from_iterable(self.outcomes.values())
            return sum(outcome.kind == kind for outcome in every)

    def summary(self) -> dict[str, int]:
        """Count outcomes by status, for people who look into a failure."""
        with self._lock:
            every = itertools.chain.from_iterable(self.outcomes.values())
            return dict(Counter(f"{outcome.kind} {outcome.status}" for outcome in every))


class Patient:
    """A client that sends a request until its outcome is definite."""

    def __init__(
        self, url: str, merchant: Merchant, history: History, authorities: str | None = None
    ) -> None:
        """Speak to `url` as `merchant`, noting everything in `history`.

        `authorities` are those that the certificate of an address with TLS is of.
        """
        self._history = history
        self.http = httpx.Client(
            base_url=url,
            verify=True if authorities is None else ssl.create_default_context(cafile=authorities),
            headers={"authorization": f"Bearer {merchant.key}"},
            timeout=CLIENT_TIMEOUT_S,
        )

    def send(self, request: Request, patience_s: float = PATIENCE_S) -> Outcome | None:
        """Send until there is a definite outcome and return it, None when patience ends."""
        self._history.begin(request)
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            outcome = self._send_once(request)
            self._history.note(request, outcome)
            if outcome.kind == SUCCESS or (outcome.kind == FAILURE and not _is_retried(outcome)):
                return outcome
            time.sleep(RETRY_PAUSE_S)
        self._history.give_up(request)
        return None

    def _send_once(self, request: Request) -> Outcome:
        began_s = time.monotonic()
        try:
            answer = self.http.post(
                request.path,
                content=request.body,
                headers={"idempotency-key": request.key, "content-type": "application/json"},
            )
        except httpx.TransportError:
            return Outcome(UNKNOWN, time.monotonic() - began_s)
        kind = SUCCESS if answer.is_success else FAILURE
        # What is no JSON is a load balancer's own answer: whoever is behind it may have done it.
        is_own = "json" in answer.headers.get("content-type", "")
        if answer.status_code == 504 or not (answer.is_success or is_own):
            kind = UNKNOWN
        replayed = answer.headers.get("idempotent-replayed") == "true"
        seconds = time.monotonic() - began_s
        return Outcome(kind, seconds, answer.status_code, answer.content, replayed)


def _is_retried(outcome: Outcome) -> bool:
    return bool(msgspec.json.decode(outcome.body)["code"] in RETRIED_CODES)


class Load:
    """Client threads that take, capture, cancel and refund payments until they are stopped."""

    def __init__(
        self,
        url: str,
        merchant: Merchant,
        clients: int = 6,
        seed: int = 1,
        *,
        authorities: str | None = None,
        pause_s: float = 0.0,
    ) -> None:
        """Prepare so many clients; equal seeds make equal choices.

        Each pauses after a payment, where whoever is measured shares the machine with it.
        """
        self.history = History()
        self._authorities, self._pause_s = authorities, pause_s
        self.merchant = merchant
        self._url, self._seed = url, seed
        self._stopping = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]

    @contextmanager
    def running(self) -> Iterator[History]:
        """Run meanwhile; afterwards every client has its last request definite."""
        print(f"load with seed {self._seed}")  # noqa: T201 - pytest shows it with a failure
        for thread in self._threads:
            thread.start()
        try:
            yield self.history
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(JOIN_TIMEOUT_S)
        assert [] == self._errors
        assert not any(thread.is_alive() for thread in self._threads)

    def wait_for(self, more: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many requests more have succeeded."""
        goal = self.history.count(SUCCESS) + more
        wait_until(lambda: self.history.count(SUCCESS) >= goal or bool(self._errors), timeout_s)

    def _run(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        client = Patient(self._url, self.merchant, self.history, self._authorities)
        try:
            while not self._stopping.is_set():
                self._one_payment(client, chance)
                self._stopping.wait(self._pause_s)
        except BaseException as error:  # noqa: BLE001 - told to the test by `running`
            self._errors.append(error)
        finally:
            client.http.close()

    def _one_payment(self, client: Patient, chance: random.Random) -> None:
        """Take one payment and perhaps move it on."""
        amount, capture = chance.randint(100, 10_000), chance.random() < 0.7
        body = {
            "amount": amount,
            "currency": chance.choice(["USD", "EUR", "JPY"]),
            "source": f"tok_{chance.randrange(200)}_{secrets.token_hex(4)}",
            "capture": capture,
        }
        taken = client.send(_request("create", "", body))
        if taken is None or taken.kind != SUCCESS:
            return
        target = msgspec.json.decode(taken.body)["id"]
        if not capture and chance.random() < 0.3:
            client.send(_request("cancel", target, {}))
        elif not capture and chance.random() < 0.8:
            client.send(_request("capture", target, {"amount": chance.randint(1, amount)}))
        elif capture and chance.random() < 0.3:
            for _ in range(chance.randint(1, 2)):
                refund = {"amount": chance.randint(1, amount // 2)}
                client.send(_request("refunds", target, refund))


def _request(operation: str, target: str, body: dict[str, Any]) -> Request:
    return Request(operation, target, f"key-{secrets.token_hex(8)}", msgspec.json.encode(body))


def violations(history: History, database: Database, merchant: Merchant) -> list[str]:
    """Return what is wrong, sentence by sentence, each behind the number of its invariant."""
    return [
        *_money_that_is_not_conserved(database),
        *_answers_that_differ(history),
        *_answers_that_were_lost(history, database, merchant.merchant_id),
        *_payments_that_cannot_be(history, database, merchant.merchant_id),
        *_requests_that_took_too_long(history),
    ]


def _money_that_is_not_conserved(database: Database) -> Iterator[str]:
    for row in database.rows(ENTRIES_THAT_DO_NOT_SUM):
        yield f"I1: the entries of {row} do not sum to zero"
    for row in database.rows(BALANCES_THAT_ARE_NOT_THEIR_ENTRIES):
        yield f"I1: a balance is not the sum of its entries: {row}"


def _answers_that_differ(history: History) -> Iterator[str]:
    owners: dict[str, Request] = {}
    for request, outcomes in history.outcomes.items():
        bodies = {outcome.body for outcome in outcomes if outcome.kind == SUCCESS}
        if len(bodies) > 1:
            yield f"I2: {request} was answered in {len(bodies)} ways"
        for body in bodies:
            made = msgspec.json.decode(body)["id"]
            if request.operation in {"create", "refunds"} and made in owners:
                yield f"I2: {made} was answered to two keys"
            owners[made] = request


def _answers_that_were_lost(
    history: History, database: Database, merchant_id: int
) -> Iterator[str]:
    kept = {row[0].bytes: row[1].encode() for row in database.rows(KEYED_EVENTS, [merchant_id])}
    for request, outcomes in history.outcomes.items():
        stored = kept.get(digest_of(merchant_id, request))
        acknowledged = [outcome.body for outcome in outcomes if outcome.kind == SUCCESS]
        if acknowledged and stored is None:
            yield f"I3: {request} was acknowledged and is gone"
        elif acknowledged and acknowledged[-1] != stored:
            yield f"I3: {request} is not stored as it was acknowledged"
        elif stored is not None and outcomes and _is_refused(outcomes[-1]):
            yield f"I3: {request} was refused for good and is stored"


def _is_refused(outcome: Outcome) -> bool:
    return outcome.kind == FAILURE and not _is_retried(outcome)


def _payments_that_cannot_be(
    history: History, database: Database, merchant_id: int
) -> Iterator[str]:
    sent = {digest_of(merchant_id, request) for request in history.outcomes}
    for row in database.rows(PAYMENTS, [merchant_id]):
        payment_id, status, amount, captured, refunded, refunds, events, keys = row
        if {key.bytes for key in keys or ()} - sent or not keys:
            yield f"I4: nobody sent all of {payment_id}"
        if not is_path([event.removeprefix("payment.") for event in events or ()]):
            yield f"I8: {payment_id} went through {events}"
        elif not _ends_in(events[-1], status):
            yield f"I8: {payment_id} is {status} after {events}"
        if not 0 <= refunded <= captured <= amount or refunds != refunded:
            yield f"I8: {payment_id} has amounts that cannot be: {row}"


def is_path(states: Sequence[str]) -> bool:
    """Tell whether a payment may go through these states from its beginning."""
    steps = itertools.pairwise(["", *states])
    return bool(states) and all(after in PATHS[before] for before, after in steps)


def _ends_in(event: str, status: str) -> bool:
    if event == "payment.refunded":
        return status in {"refunded", "partially_refunded"}
    return status == event.removeprefix("payment.")


def _requests_that_took_too_long(history: History) -> Iterator[str]:
    for request, outcomes in history.outcomes.items():
        for outcome in outcomes:
            if outcome.seconds > DEADLINE_S + MARGIN_S:
                yield f"I10: {request} had {outcome.status} after {outcome.seconds:.1f} s"
    for request in history.given_up:
        yield f"I10: {request} never had a definite outcome"


def digest_of(merchant_id: int, request: Request) -> bytes:
    """Return the digest under which a request's key is stored."""
    return scope_digest(merchant_id, request.operation, request.target, request.key)

"""The service's figures: C, D, E and half load, each on a fresh copy of the same database.

A scenario copies the prefilled database, starts the service on it, warms it up, measures, stops the
service and checks the database against the answers. Only then is there a figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

import msgspec

from benchmarks import bounds, checker, databases, load, processor, service
from benchmarks.checker import Acknowledged
from benchmarks.databases import Merchant
from benchmarks.load import Plan
from benchmarks.progress import say
from benchmarks.workload import Prepared, Workload
from evertill.domain import ids
from evertill.quickstart import Cluster

MEASURED: Final = "measured"


class Refused(Exception):
    """The service answered something other than a payment, so there is no figure."""


class Figure(NamedTuple):
    """What one measurement found; `in_flight` is the number of connections."""

    in_flight: int
    pps: float
    p50_ms: float
    p99_ms: float
    usage: processor.Usage


class _Payment(msgspec.Struct):
    id: str
    status: str


class _Result(msgspec.Struct):
    status: int
    body: _Payment


class _Results(msgspec.Struct):
    results: list[_Result]


_payment: Final = msgspec.json.Decoder(_Payment)
_results: Final = msgspec.json.Decoder(_Results)


class Session:
    """One service on one database, and all that it has acknowledged so far."""

    def __init__(self, cluster: Cluster, running: service.Service, workload: Workload) -> None:
        """Load `running` with payments of `workload`."""
        self.workload = workload
        self.acknowledged: list[Acknowledged] = []
        self.declined = 0
        self._running = running
        self._read = partial(processor.read, running.workers, cluster.pid)

    def warm_up(self, rounds: int) -> None:
        """Send payments of every merchant, so that each worker soon knows their keys."""
        plan = Plan(bounds.WARM_UP_CONNECTIONS, 0.0, bounds.START_TIMEOUT_S)
        self.run(self.workload.each_merchant(rounds), plan)

    def run(self, prepared: Prepared, plan: Plan) -> Figure:
        """Send requests and return the figure; raise Refused when one was not answered well."""
        outcome = load.run(prepared, self._running.port, plan, self._read)
        if outcome.refused:
            (answer, times), *_ = outcome.refused.most_common(1)
            raise Refused(f"{outcome.refused.total()} requests failed; {times} times: {answer}")
        per_request = len(prepared.payments[0])
        self._note(prepared, outcome)
        payments = outcome.measured * per_request
        return Figure(
            plan.connections,
            round(payments / outcome.seconds, 1),
            percentile(outcome.latencies_ms, 0.50),
            percentile(outcome.latencies_ms, 0.99),
            processor.between(outcome.before, outcome.after, payments),
        )

    def _note(self, prepared: Prepared, outcome: load.Outcome) -> None:
        for request, body in enumerate(outcome.bodies[: outcome.sent]):
            if body is None:
                raise Refused("A request was never answered.")
            batch = body.startswith(b'{"results"')
            payments = (
                [result.body for result in _results.decode(body).results]
                if batch
                else [_payment.decode(body)]
            )
            for position, payment in enumerate(payments):
                digest = prepared.key_digest(request, position)
                raw = ids.read_id(ids.PAYMENT, payment.id)
                self.acknowledged.append(Acknowledged(digest, raw))
                self.declined += payment.status == "declined"


def percentile(ordered: list[float], share: float) -> float:
    """Return the value that this share of the ordered values does not exceed."""
    if not ordered:
        return math.nan
    return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 2)


@contextmanager
def session(
    cluster: Cluster,
    merchants: list[Merchant],
    scale: bounds.Scale,
    seed: int,
    template: str = "own_template",
    **settings: str | bool,
) -> Iterator[Session]:
    """Run a warm service on a copy of the prefilled database; check the database afterwards.

    `settings` are further ones of the service.
    """
    name = MEASURED
    address = databases.create(cluster, name, template=template)
    databases.settle(address)
    try:
        with service.running(address, **settings) as running:
            current = Session(cluster, running, Workload(seed, merchants))
            current.warm_up(scale.warm_up_rounds)
            yield current
        checker.check(address, current.acknowledged, scale.prefilled)
        say(
            f"checked: {len(current.acknowledged):,} acknowledged payments are stored once each "
            f"({current.declined:,} declined), entries and balances agree"
        )
    finally:
        databases.drop(cluster, name)


def measure_http(current: Session, scale: bounds.Scale, *, hot: bool = False) -> Figure:
    """Measure C, or E when all payments credit one merchant: the best number of connections."""
    make = current.workload.hot_payments if hot else current.workload.payments
    count = requests_for(scale)
    figures = []
    for connections in scale.connections:
        prepared = make(count)
        plan = Plan(connections, scale.warm_up_s, scale.measure_s)
        figures.append(current.run(prepared, plan))
        tell("E" if hot else "C", figures[-1])
    return max(figures, key=lambda figure: figure.pps)


def measure_half_load(current: Session, scale: bounds.Scale, peak_pps: float) -> Figure:
    """Measure latency while payments arrive at half of the peak rate, whatever comes back."""
    rate = peak_pps / 2
    count = int(rate * (scale.warm_up_s + scale.measure_s) * 1.1)
    plan = Plan(bounds.HALF_LOAD_CONNECTIONS, scale.warm_up_s, scale.measure_s, rate)
    figure = current.run(current.workload.payments(count), plan)
    tell("C at half load", figure)
    return figure


def measure_batches(current: Session, scale: bounds.Scale) -> Figure:
    """Measure D: calls of 1000 payments, several in flight."""
    seconds = scale.warm_up_s + scale.measure_s
    count = math.ceil(bounds.BATCH_PPS_MAX * seconds / bounds.BATCH_SIZE)
    figures = []
    for calls in scale.batches_in_flight:
        prepared = current.workload.batches(count)
        figures.append(current.run(prepared, Plan(calls, scale.warm_up_s, scale.measure_s)))
        tell("D", figures[-1])
    return max(figures, key=lambda figure: figure.pps)


def requests_for(scale: bounds.Scale) -> int:
    """Return how many single payments a run may need at most."""
    return int(bounds.HTTP_PPS_MAX * (scale.warm_up_s + scale.measure_s))


def tell(name: str, figure: Figure) -> None:
    """Print a figure as a line of progress."""
    usage = figure.usage
    say(
        f"{name} with {figure.in_flight} in flight: {figure.pps:,.0f} payments per s, p50 "
        f"{figure.p50_ms} ms, p99 {figure.p99_ms} ms; processor per payment: load "
        f"{usage.load_us} us, service {usage.service_us} us, PostgreSQL {usage.postgres_us} us"
    )
    if usage.others_share > bounds.NOISE_SHARE_MAX:
        say(f"other programs took {usage.others_share:.0%} of the machine meanwhile")

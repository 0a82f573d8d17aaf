"""What Prometheus scrapes: rates, latencies, batch sizes, the pool and the queue.

Workers are processes, so the client library keeps each one's figures in files of a common folder
(its multiprocess mode), and any of them can answer for all.
"""

from __future__ import annotations

import contextlib
import os
import struct
from bisect import bisect_right
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
SCRAPE_TRIES_MAX: Final = 10
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 2, 5)
LAG_BUCKETS_S: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600, 3600)
BATCH_SIZE_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

LATENCY: Final = Histogram(
    "evertill_http_request_seconds",
    "Seconds from a request received whole to its answer.",
    ["route", "method", "status"],
    buckets=LATENCY_BUCKETS_S,
)
PAYMENTS: Final = Counter("evertill_payments_committed", "Payments recorded, declines included.")
BATCH_SIZE: Final = Histogram(
    "evertill_commit_batch_size", "Payments in one commit.", buckets=BATCH_SIZE_BUCKETS
)
COMMIT_SECONDS: Final = Histogram(
    "evertill_commit_seconds", "Seconds from claim to commit.", buckets=LATENCY_BUCKETS_S
)
QUEUED: Final = Gauge(
    "evertill_payments_queued", "Payments waiting for a commit.", multiprocess_mode="livesum"
)
CONNECTIONS: Final = Gauge(
    "evertill_http_connections", "Open client connections.", multiprocess_mode="livesum"
)
POOL_SIZE: Final = Gauge(
    "evertill_pool_connections", "Open database connections.", multiprocess_mode="livesum"
)
POOL_WAITING: Final = Gauge(
    "evertill_pool_waiting", "Requests waiting for a connection.", multiprocess_mode="livesum"
)
READY: Final = Gauge(
    "evertill_ready", "1 while this worker can take payments.", multiprocess_mode="livemin"
)
LOG_RECORDS: Final = Counter("evertill_log_records", "Events written to the transaction log.")
LOG_LAG: Final = Histogram(
    "evertill_log_lag_seconds",
    "Seconds from an object's oldest event to the object stored in the transaction log.",
    buckets=LAG_BUCKETS_S,
)
WEBHOOKS: Final = Counter("evertill_webhook_attempts", "Webhooks sent, by outcome.", ["outcome"])
PUBLISHED: Final = Counter("evertill_topic_events", "Events published to the topic.")
OUTBOX_BATCHES: Final = Gauge(
    "evertill_outbox_batches",
    "Commits whose events a receiver (log, webhooks, topic) has not taken yet.",
    ["receiver"],
    multiprocess_mode="livemostrecent",
)
OUTBOX_AGE: Final = Gauge(
    "evertill_outbox_oldest_seconds",
    "Seconds that a receiver's oldest event has waited.",
    ["receiver"],
    multiprocess_mode="livemostrecent",
)
WEBHOOK_DELIVERIES: Final = Gauge(
    "evertill_webhook_deliveries",
    "Webhooks that wait or are dead letters, counted up to 10,000.",
    ["state"],
    multiprocess_mode="livemostrecent",
)
WEBHOOK_OVERDUE: Final = Gauge(
    "evertill_webhook_overdue_seconds",
    "Seconds since the webhook that has waited longest should have been tried.",
    multiprocess_mode="livemostrecent",
)

# Latencies by route, method and status that are not in the histogram yet, and how many there may be
# of one kind.
_noted: Final[dict[tuple[str, str, int], list[float]]] = {}
NOTED_MAX: Final = 10_000


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """Note one answered request; `flush` counts it.

    A request without a route is counted under no method: its method is whatever somebody sent.
    """
    key = (route, method if route else "", status)
    noted = _noted.get(key)
    if noted is None:
        noted = _noted[key] = []
    noted.append(seconds)
    if len(noted) >= NOTED_MAX:
        flush()


def flush() -> None:
    """Count the requests that were noted: many at once take a tenth of the time of one by one."""
    for (route, method, status), seconds in _noted.items():
        if seconds:
            child = LATENCY.labels(route or "none", method or "none", str(status))
            _observe_all(child, seconds)
            seconds.clear()


def _observe_all(histogram: Histogram, values: list[float]) -> None:
    """Do what `observe` does for each value; the library has no call for many."""
    values.sort()
    histogram._sum.inc(sum(values))  # noqa: SLF001 - what `observe` changes
    counted = 0
    buckets = zip(histogram._buckets, histogram._upper_bounds, strict=True)  # noqa: SLF001 - as above
    for bucket, bound in buckets:
        up_to = bisect_right(values, bound)
        if up_to > counted:
            bucket.inc(up_to - counted)
        counted = up_to


def observe_commit(size: int, seconds: float) -> None:
    """Note one committed batch."""
    PAYMENTS.inc(size)
    BATCH_SIZE.observe(size)
    COMMIT_SECONDS.observe(seconds)


def observe_log(records: int, lag_s: float) -> None:
    """Note one object of the transaction log."""
    LOG_RECORDS.inc(records)
    LOG_LAG.observe(lag_s)


def observe_webhook(outcome: str) -> None:
    """Note one attempt at a webhook: delivered, failed or dead."""
    WEBHOOKS.labels(outcome).inc()


def observe_outbox(receiver: str, batches: int, oldest_s: float) -> None:
    """Note what waits for a receiver."""
    OUTBOX_BATCHES.labels(receiver).set(batches)
    OUTBOX_AGE.labels(receiver).set(oldest_s)


def observe_webhook_backlog(waiting: int, dead: int, overdue_s: float) -> None:
    """Note what webhooks wait."""
    WEBHOOK_DELIVERIES.labels("waiting").set(waiting)
    WEBHOOK_DELIVERIES.labels("dead").set(dead)
    WEBHOOK_OVERDUE.set(overdue_s)


def scrape() -> bytes:
    """Return the figures of all workers, or of this process where it is the only one.

    What other workers noted in the last second may not be counted yet.
    """
    flush()
    if not os.environ.get(FOLDER_VARIABLE):
        return generate_latest()
    for _ in range(SCRAPE_TRIES_MAX - 1):
        # A worker that starts at this moment has made its file but not filled it yet.
        with contextlib.suppress(struct.error):
            return _scrape_all()
    return _scrape_all()


def _scrape_all() -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no types here
    return generate_latest(registry)

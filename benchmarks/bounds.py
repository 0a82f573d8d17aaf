"""How much the benchmarks do and for how long, and the targets that their figures must reach.

It is separate so that nobody has to search for a number that decides about a figure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MERCHANTS: Final = 1_000
# One in ten payments comes from a source that has paid before.
REGULARS: Final = 20_000
REGULARS_SHARE: Final = 0.1
ZIPF_EXPONENT: Final = 1.05
CURRENCIES: Final = ("USD", "EUR", "JPY")
# So high that it is not the rate limit that is measured; its bookkeeping still runs.
PAYMENTS_PER_S_MAX: Final = 1_000_000
WORKERS: Final = 2
BATCH_SIZE: Final = 1_000

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 20.0
DRAIN_TIMEOUT_S: Final = 15.0
PGBENCH_GRACE_S: Final = 60.0
# Requests are made before the clock starts; a faster service would end the run early, not wrongly.
HTTP_PPS_MAX: Final = 30_000
BATCH_PPS_MAX: Final = 60_000
WARM_UP_CONNECTIONS: Final = 32
PACING_INTERVAL_S: Final = 0.001
WAIT_INTERVAL_S: Final = 0.01
RECEIVE_SIZE: Final = 1 << 16
HALF_LOAD_CONNECTIONS: Final = 512
NOISE_SHARE_MAX: Final = 0.05


class Scale(NamedTuple):
    """How much is done in one run."""

    prefilled: int
    clients: tuple[int, ...]
    connections: tuple[int, ...]
    batches_in_flight: tuple[int, ...]
    pgbench_s: int
    warm_up_rounds: int
    warm_up_s: float
    measure_s: float
    large_payments: tuple[int, int]
    large_rounds: int
    pending_webhooks: int


FULL: Final = Scale(
    prefilled=100_000,
    clients=(8, 16, 32),
    connections=(256, 512, 1024),
    batches_in_flight=(4, 8),
    pgbench_s=10,
    warm_up_rounds=8,
    warm_up_s=2.0,
    measure_s=10.0,
    large_payments=(1_000_000, 10_000_000),
    large_rounds=3,
    pending_webhooks=3_000_000,
)
QUICK: Final = Scale(
    prefilled=2_000,
    clients=(8,),
    connections=(64,),
    batches_in_flight=(2,),
    pgbench_s=1,
    warm_up_rounds=1,
    warm_up_s=0.3,
    measure_s=1.0,
    large_payments=(50_000, 250_000),
    large_rounds=1,
    pending_webhooks=30_000,
)


class Target(NamedTuple):
    """A ratio of two figures and what it must reach."""

    name: str
    figure: str
    base: str
    least: float


TARGETS: Final = (
    Target("C / A", "http_pps", "natural_tps", 8.0),
    Target("C / B", "http_pps", "function_tps", 4.0),
    Target("D / A", "batch_pps", "natural_tps", 20.0),
    Target("E / C", "hot_http_pps", "http_pps", 0.8),
)
P99_HALF_LOAD_MS_MAX: Final = 60.0

LARGE_CHUNK: Final = 25_000
LARGE_DAYS: Final = 90
LARGE_SLOWDOWN_MAX: Final = 0.15
# Measured: a payment with its event, transfer and indexes takes about this much, log included.
BYTES_PER_PAYMENT: Final = 1_400
FREE_RESERVE_BYTES: Final = 5 << 30

"""What a million payments cost on top: assumptions, each with its reason, times prices.

It is separate from `standing` because nothing here can be read from a template. The assumptions are
not measurements on AWS; change them in one place when there are some.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from evertill.assembly import Model, Resource
from evertill.cost.standing import Line, is_io_optimized

MILLION: Final = Decimal(1_000_000)


class Assumption(msgspec.Struct, frozen=True):
    """One guess about a payment, and why it is not unreasonable."""

    value: Decimal
    reason: str


# A million payments of one kibibyte each.
GIB_PER_MILLION_KIB: Final = MILLION / (1024 * 1024)

ASSUMPTIONS: Final = {
    "wire_kib": Assumption(Decimal(4), "request and answer with headers, over TLS kept alive"),
    "answer_kib": Assumption(Decimal(2), "the part of it that leaves AWS"),
    "stored_kib": Assumption(Decimal(2), "rows and indexes; they stay and add up every month"),
    "write_ios": Assumption(Decimal(4), "log and pages, at 4 KiB an I/O, in batches"),
    "replicated_kib": Assumption(Decimal(4), "the log that Aurora ships to the other region"),
    "journal_kib": Assumption(Decimal(1), "one line of the transaction log, before compression"),
    "journal_payments": Assumption(Decimal(1000), "payments in one object of that log"),
    "validations": Assumption(Decimal("0.1"), "one payment in ten is asked about before"),
    "validation_gib_s": Assumption(Decimal("0.006"), "12 ms warm, as measured here, at 512 MiB"),
    "log_kib": Assumption(Decimal("0.5"), "one line of the service's own log"),
}


def per_million(model: Model) -> Iterator[Line]:
    """Return what a million payments cost in the parts that the templates have."""
    clusters = model.resources_of("AWS::RDS::DBCluster")
    balancers = model.resources_of("AWS::ElasticLoadBalancingV2::LoadBalancer")
    everywhere = model.resources_of("AWS::S3::Bucket")
    buckets = [bucket for bucket in everywhere if bucket.flag("ObjectLockEnabled")]
    if not balancers or not clusters:
        return
    # Payments come to one region, the one that the first cluster's template was written for.
    yield from _front(model, _home(model, balancers))
    yield from _database(clusters, _home(model, clusters))
    yield from _journal(buckets, _home(model, buckets)) if buckets else ()
    if any(one.has("FunctionName") for one in model.resources_of("AWS::Lambda::Function")):
        yield from _validations(buckets, _home(model, balancers))


def _home(model: Model, several: Sequence[Resource]) -> str | None:
    """Return the region that takes the payments: where the global database is managed."""
    managed = model.resources_of("AWS::RDS::GlobalCluster")
    return (managed or several)[0].region


def _front(model: Model, home: str | None) -> Iterator[Line]:
    wire_gib = _gib("wire_kib")
    # At 1 GB an hour bytes are the dearest of an LCU's four measures for kept-alive connections.
    yield Line("Load balancer", home, "alb_lcu_hour", wire_gib)
    yield Line("Transfer to the internet", home, "transfer_internet_gib", _gib("answer_kib"))
    yield Line("Service logs", home, "log_ingestion_gib", _gib("log_kib"))
    if model.resources_of("AWS::WAFv2::WebACL"):
        yield Line("Firewall", home, "waf_requests_million", Decimal(1))


def _database(clusters: Sequence[Resource], home: str | None) -> Iterator[Line]:
    for cluster in clusters:
        optimized = is_io_optimized(cluster)
        kind = "aurora_storage_io_optimized_gib_month" if optimized else "aurora_storage_gib_month"
        yield Line("Aurora storage", cluster.region, kind, _gib("stored_kib"))
        ios = ASSUMPTIONS["write_ios"].value
        if cluster.region != home:
            yield Line("Aurora I/O", cluster.region, "aurora_replicated_io_million", ios)
            yield Line(
                "Transfer between regions", home, "transfer_regions_gib", _gib("replicated_kib")
            )
        elif not optimized:
            yield Line("Aurora I/O", home, "aurora_io_million", ios)


def _journal(buckets: Sequence[Resource], home: str | None) -> Iterator[Line]:
    puts = MILLION / ASSUMPTIONS["journal_payments"].value / 1000
    for bucket in buckets:
        yield Line("Transaction log", bucket.region, "s3_put_thousand", puts)
        yield Line("Transaction log", bucket.region, "s3_storage_gib_month", _gib("journal_kib"))
        if bucket.region != home:
            yield Line("Transaction log", home, "s3_replication_time_gib", _gib("journal_kib"))
            yield Line(
                "Transfer between regions", home, "transfer_regions_gib", _gib("journal_kib")
            )


def _validations(buckets: Sequence[Resource], home: str | None) -> Iterator[Line]:
    """Count the function's calls; each decision is an object of the log of its own."""
    calls = ASSUMPTIONS["validations"].value
    seconds = MILLION * calls * ASSUMPTIONS["validation_gib_s"].value
    yield Line("Validation function", home, "lambda_request_million", calls)
    yield Line("Validation function", home, "lambda_arm_gib_second", seconds)
    for bucket in buckets:
        yield Line("Transaction log", bucket.region, "s3_put_thousand", calls * MILLION / 1000)


def _gib(name: str) -> Decimal:
    return ASSUMPTIONS[name].value * GIB_PER_MILLION_KIB

"""S3 replication: what is put into a bucket is copied to the other, by the templates' rules.

Copies really are made, one after the other in the order of writing, over a link that can be cut,
delayed and throttled, and they can be paused. What was not copied when the twin ended is found by
comparing both buckets at the next start. A copy goes to the emulator itself and not through the
API, so that two buckets that copy to each other do not do so for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.part import Metrics
from evertill.twin.parts.storage import client_of
from evertill.twin.plan.storage import BucketSpec, ReplicationRule

# More than that waits on neither side: the next comparison finds the rest.
PENDING_MAX: Final = 100_000
KEYS_KEPT_MAX: Final = 100_000
RETRY_PAUSE_S: Final = 0.2
METRICS_INTERVAL_S: Final = 60
NAMESPACE: Final = "AWS/S3"
CLIENT_ERRORS: Final = range(400, 500)
# Copied with the object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html
COPIED: Final = ("ContentType", "ContentEncoding", "ContentDisposition", "CacheControl", "Metadata")


class Place(msgspec.Struct, frozen=True):
    """A bucket and the emulator that holds it."""

    region: str
    bucket: str
    url: str


class Pending(msgspec.Struct):
    """A key that is to be copied, or deleted, since a moment of twin time."""

    since_s: float
    size_bytes: int
    is_deleted: bool = False


class Replication:
    """Copies what `rule` says from one bucket to another."""

    def __init__(
        self,
        rule: ReplicationRule,
        source: Place,
        destination: Place,
        *,
        clock: Clock,
        links: Links,
        metrics: Metrics,
        timeline: Timeline,
    ) -> None:
        """Prepare; both emulators must run before the start."""
        self._rule: Final = rule
        self._source: Final = source
        self._destination: Final = destination
        self._clock: Final = clock
        self._links: Final = links
        self._metrics: Final = metrics
        self._timeline: Final = timeline
        self._pending: Final[OrderedDict[str, Pending]] = OrderedDict()
        self._failed: Final[OrderedDict[str, str]] = OrderedDict()
        self._work: Final = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_paused = False
        # False while one of the two buckets cannot be reached: nothing is tried, nothing fails.
        self.can_reach: Callable[[], bool] = lambda: True
        self._copied = 0
        self._failures = 0
        self._latency_s = 0.0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._source.region}/replication/{self._source.bucket}"

    async def start(self) -> None:
        """Find what is still to be copied, and begin."""
        await asyncio.to_thread(self._compare)
        self._tasks = [
            asyncio.create_task(self._copy_for_ever()),
            asyncio.create_task(self._publish_for_ever()),
        ]

    async def stop(self) -> None:
        """Stop; what is left is found at the next start."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return how much waits, since when, and what could not be copied."""
        return {
            "destination": self._destination.bucket,
            "paused": self._is_paused,
            "copied": self._copied,
            "pending": len(self._pending),
            "pending_bytes": sum(item.size_bytes for item in self._pending.values()),
            "latency_s": round(self._age_s(), 3),
            "failed": dict(list(self._failed.items())[-10:]),
        }

    def summary(self) -> dict[str, Any]:
        """Return from where to where, how much waits, and whether it is paused."""
        return {
            "from": self._source.bucket,
            "to": self._destination.bucket,
            "pending": len(self._pending),
            "paused": self._is_paused,
        }

    def note(self, key: str, size_bytes: int, *, is_deleted: bool = False) -> None:
        """Note that a key was written or deleted, after that has succeeded."""
        if not key.startswith(self._rule.prefix) or len(self._pending) >= PENDING_MAX:
            return
        if is_deleted and not self._rule.copies_delete_markers:
            return
        self._failed.pop(key, None)
        self._pending[key] = Pending(self._clock.now_s(), size_bytes, is_deleted)
        self._work.set()

    def state_of(self, key: str) -> str:
        """Return an object's replication status, as S3 tells it of the source's objects."""
        if key in self._pending:
            return "PENDING"
        return "FAILED" if key in self._failed else "COMPLETED"

    def pause(self, *, is_paused: bool) -> None:
        """Let nothing be copied until it is let go again: a fault."""
        self._is_paused = is_paused
        self._work.set()

    async def _copy_for_ever(self) -> None:
        while True:
            if not self._pending:
                self._work.clear()
                await self._work.wait()
                continue
            key, item = next(iter(self._pending.items()))
            if self._is_paused or self._way.is_cut or not self.can_reach():
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            if await self._copied_now(key, item):
                self._latency_s = max(self._latency_s, self._clock.now_s() - item.since_s)
                # It may have been written again meanwhile, and then it waits again.
                if self._pending.get(key) is item:
                    del self._pending[key]
            else:
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _copied_now(self, key: str, item: Pending) -> bool:
        """Copy one object; return whether it is done with, for good or for bad."""
        way = self._way
        await asyncio.sleep(way.delay_ms / 1000)
        if way.bytes_per_s:
            await asyncio.sleep(item.size_bytes / way.bytes_per_s)
        try:
            await asyncio.to_thread(self._delete if item.is_deleted else self._copy, key)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            # An emulator that has just been started again may not have its buckets yet.
            if status not in CLIENT_ERRORS or not self.can_reach():
                return False
            self._fail(key, error.response["Error"]["Code"])
            return True
        except BotoCoreError:
            return False
        if self._way.is_cut:
            # The link was cut while it was on its way: it is sent again.
            return False
        self._copied += 1
        return True

    @property
    def _way(self) -> Any:  # noqa: ANN401 - a Way of the links
        return self._links.way(self._source.region, self._destination.region)

    def _copy(self, key: str) -> None:
        source, destination = self._clients
        try:
            got = source.get_object(Bucket=self._source.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return
        told = {name: got[name] for name in COPIED if got.get(name)}
        destination.put_object(
            Bucket=self._destination.bucket, Key=key, Body=got["Body"].read(), **told
        )

    def _delete(self, key: str) -> None:
        self._clients[1].delete_object(Bucket=self._destination.bucket, Key=key)

    @cached_property
    def _clients(self) -> tuple[Any, Any]:
        places = (self._source, self._destination)
        source, destination = (client_of("s3", place.region, place.url) for place in places)
        return source, destination

    def _fail(self, key: str, reason: str) -> None:
        self._failures += 1
        self._failed[key] = reason
        while len(self._failed) > KEYS_KEPT_MAX:
            self._failed.popitem(last=False)
        self._timeline.tell(
            self._source.region, self.name, "replication.failed", f"{key} was not copied: {reason}."
        )

    def _compare(self) -> None:
        """Note what the source has and the destination has not, oldest first."""
        there = {key for key, _, _ in _listed(self._clients[1], self._destination.bucket)}
        missing = [
            entry
            for entry in _listed(self._clients[0], self._source.bucket)
            if entry[0] not in there
        ]
        for key, size_bytes, _ in sorted(missing, key=lambda entry: entry[2]):
            self.note(key, size_bytes)

    def _age_s(self) -> float:
        oldest = min((item.since_s for item in self._pending.values()), default=None)
        return 0.0 if oldest is None else self._clock.now_s() - oldest

    async def _publish_for_ever(self) -> None:
        while True:
            await self._clock.sleep(METRICS_INTERVAL_S)
            with contextlib.suppress(Exception):
                self._publish()

    def _publish(self) -> None:
        """Publish as S3 does once a minute: how it goes where it goes to, failures where from.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html
        """
        if not self._rule.publishes_metrics:
            return
        latency_s, self._latency_s = max(self._latency_s, self._age_s()), 0.0
        failures, self._failures = self._failures, 0
        waiting = sum(item.size_bytes for item in self._pending.values())
        dimensions = {
            "SourceBucket": self._source.bucket,
            "DestinationBucket": self._destination.bucket,
            "RuleId": self._rule.id,
        }
        there, here = self._destination.region, self._source.region
        for region, metric, value, unit in (
            (there, "ReplicationLatency", latency_s, "Seconds"),
            (there, "BytesPendingReplication", float(waiting), "Bytes"),
            (there, "OperationsPendingReplication", float(len(self._pending)), "Count"),
            (here, "OperationsFailedReplication", float(failures), "Count"),
        ):
            self._metrics.put(region, NAMESPACE, metric, value, unit, **dimensions)


def _listed(s3: Any, bucket: str) -> list[tuple[str, int, Any]]:  # noqa: ANN401 - boto3 has no types
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [
        (item["Key"], item["Size"], item["LastModified"])
        for page in pages
        for item in page.get("Contents", [])
    ]


def replications_of(
    buckets: dict[str, BucketSpec], urls: dict[str, str], bucket: BucketSpec
) -> list[tuple[ReplicationRule, Place, Place]]:
    """Return what a bucket's rules copy: the rule, from where, and to where.

    A rule whose destination no template has copies nothing, as in AWS before that bucket is made.
    """
    source = Place(bucket.region, bucket.name, urls[bucket.region])
    return [
        (rule, source, Place(other.region, other.name, urls[other.region]))
        for rule in bucket.rules
        if (other := buckets.get(rule.destination)) is not None and other.region in urls
    ]

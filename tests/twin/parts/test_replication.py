"""Objects really are copied to the other region, unless its link is cut or copying is paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.support.twin import api, ask, client, emulator, site_of_the_test, until

from evertill.twin.api.objects import Objects
from evertill.twin.api.relay import Relay
from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import OPEN, Links, Way
from evertill.twin.metrics import MetricId, MetricStore
from evertill.twin.parts.replication import Replication, replications_of
from evertill.twin.parts.storage import SecretFile, Storage
from evertill.twin.plan.storage import BucketSpec, ReplicationRule

EAST, OHIO = "us-east-1", "us-east-2"
RULE = ReplicationRule(id="copy", prefix="log/", destination="copy", publishes_metrics=True)
BUCKETS = {
    "log": BucketSpec(region=EAST, name="log", is_versioned=True, rules=(RULE,)),
    "copy": BucketSpec(region=OHIO, name="copy", is_versioned=True),
}


class Two:
    """Two regions with a bucket each, and what copies from one to the other."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.clock = Clock(speed=60)
        self.links = Links({})
        self.store = MetricStore(self.clock)
        ((rule, source, destination),) = replications_of(BUCKETS, urls, BUCKETS["log"])
        self.copier = Replication(
            rule,
            source,
            destination,
            clock=self.clock,
            links=self.links,
            metrics=self.store,
            timeline=Timeline(self.clock),
        )
        self.there = client("s3", urls[OHIO], OHIO)
        self.here: Any = None

    async def put(self, key: str, body: bytes = b"1") -> None:
        await ask(self.here.put_object, Bucket="log", Key=key, Body=body, Metadata={"hash": "h"})

    async def has(self, key: str) -> bool:
        try:
            await ask(self.there.head_object, Bucket="copy", Key=key)
        except ClientError:
            return False
        return True


@asynccontextmanager
async def two_regions(folder: Path) -> AsyncIterator[Two]:
    with site_of_the_test() as site:
        async with emulator(folder, site, EAST) as east, emulator(folder, site, OHIO) as ohio:
            urls = {EAST: east.url, OHIO: ohio.url}
            for name, bucket in BUCKETS.items():
                url = urls[bucket.region]
                secrets = SecretFile(folder / name)
                await Storage(bucket.region, url, [bucket], secrets).start()
            two = Two(urls)
            relay = Relay(east.url)
            async with api({"s3": Objects(relay, {"log": [two.copier]})}, site, EAST) as server:
                two.here = client("s3", server.url)
                yield two
                await two.copier.stop()
            await relay.close()


def test_what_is_written_arrives_with_its_metadata_and_by_the_rules_prefix(tmp_path: Path) -> None:
    async def story() -> tuple[Any, str, bool]:
        async with two_regions(tmp_path) as two:
            await two.copier.start()
            await two.put("elsewhere")
            await two.put("log/ü 1", b"x" * 100_000)
            await until(lambda: two.has("log/ü 1"))
            got = await ask(two.there.get_object, Bucket="copy", Key="log/ü 1")
            head = await ask(two.here.head_object, Bucket="log", Key="log/ü 1")
            return got, head["ReplicationStatus"], await two.has("elsewhere")

    got, status, has_other = asyncio.run(story())
    assert (100_000, {"hash": "h"}) == (got["ContentLength"], got["Metadata"])
    assert "COMPLETED" == status
    assert not has_other


def test_a_cut_link_keeps_objects_until_it_is_mended_and_the_latency_is_told(
    tmp_path: Path,
) -> None:
    async def story() -> tuple[dict[str, Any], dict[str, Any], float]:
        async with two_regions(tmp_path) as two:
            await two.copier.start()
            two.links.set(EAST, OHIO, Way(is_cut=True))
            await two.put("log/1")
            await two.put("log/2")
            await until(lambda: two.copier.status()["latency_s"] > 60)
            during = two.copier.status()
            two.links.set(EAST, OHIO, OPEN)
            await until(lambda: two.has("log/2"))
            metric = MetricId(
                OHIO,
                "AWS/S3",
                "ReplicationLatency",
                (("DestinationBucket", "copy"), ("RuleId", "copy"), ("SourceBucket", "log")),
            )
            await until(lambda: two.store.window(metric, 0, two.clock.epoch_s() + 60) is not None)
            found = two.store.window(metric, 0, two.clock.epoch_s() + 60)
            assert found is not None
            await until(lambda: two.copier.status()["pending"] == 0)
            return during, two.copier.status(), found.maximum

    during, after, latency_s = asyncio.run(story())
    assert (2, 0) == (during["pending"], during["copied"])
    assert (0, 2) == (after["pending"], after["copied"])
    assert latency_s > 0


def test_what_was_left_when_the_twin_ended_is_copied_after_the_next_start(tmp_path: Path) -> None:
    async def story() -> int:
        async with two_regions(tmp_path) as two:
            two.copier.pause(is_paused=True)
            await two.copier.start()
            await two.put("log/1")
            await two.put("log/2")
            await two.copier.stop()
            next_time = Two({EAST: two.here.meta.endpoint_url, OHIO: two.there.meta.endpoint_url})
            await next_time.copier.start()
            await until(lambda: next_time.copier.status()["copied"] == 2)
            await next_time.copier.stop()
            listed = await ask(two.there.list_objects_v2, Bucket="copy")
            return int(listed["KeyCount"])

    assert 2 == asyncio.run(story())

"""A bucket with Object Lock is itself again after the emulator was killed, with its objects."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.support.twin import REGION, ask, client, emulator, site_of_the_test

from evertill.twin.parts.storage import SecretFile, Storage
from evertill.twin.plan.storage import BucketSpec

LOCKED = BucketSpec(
    region=REGION, name="log", is_versioned=True, has_lock=True, lock=("GOVERNANCE", 1)
)


def test_a_locked_bucket_is_locked_again_after_a_kill(tmp_path: Path) -> None:
    async def story(*, is_first: bool) -> Any:
        with site_of_the_test() as site:
            async with emulator(tmp_path, site) as part:
                await Storage(REGION, part.url, [LOCKED], SecretFile(tmp_path / "s")).start()
                s3 = client("s3", part.url)
                if not is_first:
                    got = await ask(s3.get_object, Bucket="log", Key="a/b")
                    lock = await ask(s3.get_object_lock_configuration, Bucket="log")
                    versioning = await ask(s3.get_bucket_versioning, Bucket="log")
                    return got["Body"].read(), lock["ObjectLockConfiguration"], versioning["Status"]
                await ask(s3.put_object, Bucket="log", Key="a/b", Body=b"1")
                assert part._owned is not None
                await part._owned.kill()
                return None

    asyncio.run(story(is_first=True))
    body, lock, versioning = asyncio.run(story(is_first=False))
    assert (b"1", "Enabled") == (body, versioning)
    assert {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}} == lock["Rule"]

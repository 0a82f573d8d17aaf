"""Where objects of the log are kept: an S3 bucket, or a folder with the same keys.

It is separate so that writing and verifying a log are the same code for both. The calls block:
the relay makes them in a thread, the commands have nothing else to do.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from evertill.domain.errors import EvertillError
from evertill.journal.records import MEDIA_TYPE

CONNECT_TIMEOUT_S: Final = 2
READ_TIMEOUT_S: Final = 5
LOCATION_PREFIX: Final = "s3://"


class StoreUnavailable(EvertillError):
    """The transaction log's store cannot be reached at the moment."""

    code = "store_unavailable"


class Store(Protocol):
    """Objects under keys. Every method raises StoreUnavailable."""

    def put(self, key: str, body: bytes) -> None:
        """Store an object for good; storing the same one again does no harm."""

    def get(self, key: str) -> bytes:
        """Return an object."""

    def keys(self) -> Iterator[str]:
        """Return all keys, in no promised order."""


class FolderStore:
    """A folder on disk: a key is a path below it."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made with the first object."""
        self._folder = folder

    def put(self, key: str, body: bytes) -> None:
        """Write an object beside its place and move it there, so that it is whole or not there."""
        place = self._folder / key
        draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as stream:
                stream.write(body)
                stream.flush()
                os.fsync(stream.fileno())
            draft.rename(place)
            _sync_folder(place.parent)
        except OSError as failure:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            message = f"{key} cannot be written: {failure.strerror}."
            raise StoreUnavailable(message) from failure

    def get(self, key: str) -> bytes:
        """Return an object."""
        try:
            return (self._folder / key).read_bytes()
        except OSError as failure:
            message = f"{key} cannot be read: {failure.strerror}."
            raise StoreUnavailable(message) from failure

    def keys(self) -> Iterator[str]:
        """Return all keys; drafts that a crash left are no objects."""
        for path in self._folder.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self._folder).as_posix()


class BucketStore:
    """An S3 bucket, or what answers like one at `endpoint_url`."""

    def __init__(self, bucket: str, endpoint_url: str = "", region: str = "") -> None:
        """Use `bucket` with the credentials of the environment."""
        # Only who uses a bucket pays for loading the SDK: it takes a third of a second.
        import boto3  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        self._bucket = bucket
        self._failures = (BotoCoreError, ClientError)
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint_url or None,
            region_name=region or None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                # The relay tries again itself and knows for how long its turn lasts.
                retries={"total_max_attempts": 1},
                # A bucket's name is no host name of an emulator.
                s3={"addressing_style": "path"} if endpoint_url else None,
            ),
        )

    def put(self, key: str, body: bytes) -> None:
        """Store an object. A bucket with versioning keeps both of two equal ones."""
        self._call("put_object", Key=key, Body=body, ContentType=MEDIA_TYPE)

    def get(self, key: str) -> bytes:
        """Return an object."""
        answer = self._call("get_object", Key=key)
        try:
            body: bytes = answer["Body"].read()
        except (*self._failures, OSError) as failure:
            raise StoreUnavailable(f"{key} cannot be read: {failure}") from failure
        return body

    def keys(self) -> Iterator[str]:
        """Return all keys."""
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", **more)
            for entry in page.get("Contents", []):
                yield str(entry["Key"])
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _call(self, operation: str, **arguments: object) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(
                Bucket=self._bucket, **arguments
            )
        except self._failures as failure:
            raise StoreUnavailable(f"The bucket {self._bucket} refused: {failure}") from failure
        return answer


def open_store(location: str, endpoint_url: str = "", region: str = "") -> Store:
    """Return the store at `s3://bucket`, or the folder that `location` names."""
    if location.startswith(LOCATION_PREFIX):
        bucket = location.removeprefix(LOCATION_PREFIX).rstrip("/")
        return BucketStore(bucket, endpoint_url, region)
    return FolderStore(Path(location))


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

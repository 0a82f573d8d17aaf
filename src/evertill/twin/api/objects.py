"""S3: the emulator's buckets, whose writes are noted for replication once they have succeeded.

It is separate because replication must not miss a write and must not delay one, and because only
here is it known which requests are writes of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from evertill.twin.api.errors import ApiError
from evertill.twin.api.messages import Answer, Endpoint, Request

# Requests with these in their query are about an object, and do not write it.
ASIDE: Final = {
    "acl", "tagging", "retention", "legal-hold", "partNumber", "uploads", "attributes", "torrent",
    "restore", "select", "versionId",
}  # fmt: skip
UNAVAILABLE: Final = 503
STATUS_HEADER: Final = "x-amz-replication-status"


class Copier(Protocol):
    """What copies the objects of one bucket by one rule."""

    def note(self, key: str, size_bytes: int, *, is_deleted: bool = False) -> None:
        """Note a write."""

    def state_of(self, key: str) -> str:
        """Return an object's replication status."""


class Objects:
    """The buckets of one region; `copiers` are those of each bucket that is a source."""

    def __init__(
        self,
        relay: Endpoint,
        copiers: Mapping[str, Sequence[Copier]],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Pass requests to `relay`, none while it `is_stopped`: a fault."""
        self._relay: Final = relay
        self._copiers: Final = copiers
        self._is_stopped: Final = is_stopped

    async def __call__(self, request: Request) -> Answer:
        """Answer as the emulator does."""
        if self._is_stopped():
            # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
            message = "Service is unable to handle request."
            raise ApiError("ServiceUnavailable", message, UNAVAILABLE)
        answer = await self._relay(request)
        bucket, _, key = request.path.lstrip("/").partition("/")
        copiers = self._copiers.get(bucket, ())
        if not (answer.is_success and key and copiers):
            return answer
        if request.method in {"GET", "HEAD"}:
            return _told(answer, copiers, key)
        if _is_write(request):
            for copier in copiers:
                copier.note(key, len(request.body), is_deleted=request.method == "DELETE")
        return answer


def _is_write(request: Request) -> bool:
    query = request.query
    if request.method == "POST":
        return "uploadId" in query
    if request.method in {"PUT", "DELETE"}:
        return not ASIDE.intersection(query) and "uploadId" not in query
    return False


def _told(answer: Answer, copiers: Sequence[Copier], key: str) -> Answer:
    states = {copier.state_of(key) for copier in copiers}
    worst = next(state for state in ("FAILED", "PENDING", "COMPLETED") if state in states)
    headers = [(name, text) for name, text in answer.headers if name != STATUS_HEADER]
    return msgspec.structs.replace(answer, headers=(*headers, (STATUS_HEADER, worst)))

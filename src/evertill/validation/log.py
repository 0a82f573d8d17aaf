"""Decisions in the transaction log: one object for each, chained within the execution environment.

Lambda runs one invocation at a time in an environment and freezes it afterwards, so nothing can be
gathered: what is not written before the answer may never be. The format is the journal's own
(`journal.records`); an environment is one chain, which stands alone (decision 0020). A write whose
outcome is unknown ends the chain, because the next record could not know what stands before it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Final
from urllib.parse import quote, urlsplit

from evertill.domain import ids
from evertill.domain.errors import EvertillError
from evertill.domain.outbox import OutboxEvent
from evertill.domain.signing import Signer
from evertill.journal.records import MEDIA_TYPE, Chain, Draft
from evertill.validation.settings import Settings, read_credentials

PUT_TIMEOUT_S: Final = 2.0
# How long a log that cannot be written is left alone, when the decision is stored elsewhere.
RETRY_AFTER_S: Final = 5.0
ANSWER_SIZE_MAX_BYTES: Final = 64 << 10

_OK: Final = 200


class NotLogged(EvertillError):
    """The transaction log cannot be written at the moment."""

    code = "not_logged"


class TransactionLog:
    """The log of this execution environment."""

    def __init__(self, settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
        """Write to the bucket of `settings`, at the endpoint that an SDK would use."""
        self._region = settings.region
        given = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        # A given endpoint may have no name for each bucket, so the bucket stands in the path.
        endpoint = given or f"https://{settings.log_bucket}.s3.{settings.region}.amazonaws.com"
        self._endpoint = urlsplit(endpoint)
        self._root = f"/{settings.log_bucket}" if given else ""
        self._connection: http.client.HTTPConnection | None = None
        self._refused_until_s = 0.0
        self._chain = self._new_chain()

    def append(self, decision: OutboxEvent, *, must: bool) -> None:
        """Write one decision, whose `payment_id` is its own; raise NotLogged.

        Unless it `must`, a log that failed a moment ago is not tried.
        """
        if not must and monotonic() < self._refused_until_s:
            raise NotLogged
        # The chain has ended, unless this write is known to have succeeded.
        chain, self._chain = self._chain, self._new_chain()
        draft = Draft(chain)
        draft.add([decision], ids.VALIDATION)
        sealed = draft.seal(decision.created_at)
        try:
            self._put(sealed.key, sealed.pack())
        except (OSError, http.client.HTTPException, KeyError) as failure:
            self._refused_until_s = monotonic() + RETRY_AFTER_S
            raise NotLogged from failure
        self._chain = chain

    def _new_chain(self) -> Chain:
        return Chain(self._region, ids.new_id().hex(), None, alone=True)

    def _put(self, key: str, body: bytes) -> None:
        """Store one object; a kept connection that S3 has closed meanwhile is replaced once."""
        if self._connection is not None:
            try:
                self._send(self._connection, key, body)
            except (OSError, http.client.HTTPException):
                self._close()
            else:
                return
        self._connection = self._connect()
        try:
            self._send(self._connection, key, body)
        except BaseException:
            self._close()
            raise

    def _send(self, connection: http.client.HTTPConnection, key: str, body: bytes) -> None:
        path = quote(f"{self._root}/{key}")
        content = hashlib.sha256(body)
        headers = {
            "content-type": MEDIA_TYPE,
            "x-amz-content-sha256": content.hexdigest(),
            # A bucket with Object Lock takes no object without a checksum:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
            "x-amz-checksum-sha256": base64.b64encode(content.digest()).decode(),
        }
        signer = Signer(read_credentials(), self._region, "s3", datetime.now(UTC))
        signed = signer.signed_headers(("PUT", self._endpoint.netloc, path), headers, body)
        connection.request("PUT", path, body, signed)
        response = connection.getresponse()
        response.read(ANSWER_SIZE_MAX_BYTES)
        if response.status != _OK:
            raise http.client.HTTPException(f"S3 answered {response.status}")

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._endpoint.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._endpoint.netloc, timeout=PUT_TIMEOUT_S)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

"""Decisions in the transaction log: one object for each, chained within the execution environment.

Lambda runs one invocation at a time in an environment and freezes it afterwards, so nothing can be
gathered: what is not written before the answer may never be. The format is the journal's
(docs/decisions/0020-validation-function.md): an environment is one chain, each record begins with
the hash of the one before it, and an object is a manifest and its records. A write whose outcome is
unknown ends the chain, because the next record could not know what stands before it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from evertill.domain import ids
from evertill.domain.errors import EvertillError
from evertill.validation.settings import Settings
from evertill.validation.signing import Credentials, Signer

PUT_TIMEOUT_S: Final = 2.0
# How long a log that cannot be written is left alone, when the decision is stored elsewhere.
RETRY_AFTER_S: Final = 5.0
ANSWER_SIZE_MAX: Final = 64 << 10
FORMAT_VERSION: Final = 1
COMPRESSION_LEVEL: Final = 1

_OK: Final = 200
_encoder: Final = msgspec.json.Encoder()


class NotLogged(EvertillError):
    """The transaction log cannot be written at the moment."""

    code = "not_logged"


class Entry(NamedTuple):
    """What is to be recorded: `subject_id` stands where a payment's record names the payment."""

    type: str
    at: datetime
    merchant_id: int
    subject_id: str
    data: Mapping[str, Any]


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
        self._sequence = 0
        self._chain = self._previous = ""
        self._begin_chain()

    def append(self, entry: Entry, *, must: bool) -> str:
        """Write one record and return its object's key; raise NotLogged.

        Unless it `must`, a log that failed a moment ago is not tried.
        """
        if not must and monotonic() < self._refused_until_s:
            raise NotLogged
        body, digest = self._sealed(entry)
        key = self._key(entry.at)
        try:
            self._put(key, body)
        except (OSError, http.client.HTTPException, KeyError) as failure:
            self._refused_until_s = monotonic() + RETRY_AFTER_S
            self._begin_chain()
            raise NotLogged from failure
        self._previous, self._sequence = digest, self._sequence + 1
        return key

    def _begin_chain(self) -> None:
        self._chain = ids.new_id().hex()
        self._sequence = 0
        name = f"evertill log {FORMAT_VERSION}\n{self._region}\n{self._chain}"
        self._previous = hashlib.sha256(name.encode()).hexdigest()

    def _sealed(self, entry: Entry) -> tuple[bytes, str]:
        """Return the object that holds one record, and the record's hash."""
        record = {
            "n": self._sequence + 1,
            "prev": self._previous,
            "id": ids.write_id(ids.EVENT, ids.new_id()),
            "type": entry.type,
            "merchant_id": entry.merchant_id,
            "payment_id": entry.subject_id,
            "created_at": entry.at,
            "data": entry.data,
        }
        line = _encoder.encode(record)
        digest = hashlib.sha256(line).hexdigest()
        manifest = {
            "manifest": FORMAT_VERSION,
            "region": self._region,
            "chain": self._chain,
            "sequence": self._sequence,
            "follows": None,
            "sealed_at": datetime.now(UTC),
            "records": 1,
            "previous": self._previous,
            "first": digest,
            "last": digest,
        }
        lines = _encoder.encode(manifest) + b"\n" + line + b"\n"
        return gzip.compress(lines, COMPRESSION_LEVEL, mtime=0), digest

    def _key(self, at: datetime) -> str:
        hour = at.astimezone(UTC).strftime("%Y/%m/%d/%H")
        return f"{self._region}/{hour}/{self._chain}-{self._sequence:08d}.ndjson.gz"

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
        headers = {
            "content-encoding": "gzip",
            "content-type": "application/x-ndjson",
            # A bucket with Object Lock takes no object without a checksum:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
            "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        signer = Signer(Credentials.of_environment(), self._region, "s3", datetime.now(UTC))
        signed = signer.put_headers(self._endpoint.netloc, path, headers, body)
        connection.request("PUT", path, body, signed)
        response = connection.getresponse()
        response.read(ANSWER_SIZE_MAX)
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

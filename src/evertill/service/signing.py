"""AWS's signatures (Signature Version 4), for the two calls that the service makes of AWS itself.

It is separate because it is pure: keys, words and a time in, a signature out. An SDK would do the
same with 34 MB and about a second at every start of every worker (decision 0015).
https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"


class Credentials(msgspec.Struct, frozen=True, rename="pascal"):
    """Temporary keys of a role, in the words of the endpoint that hands them out."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    expiration: datetime | None = None


class Signer(NamedTuple):
    """Who signs, for which service of which region, and when."""

    credentials: Credentials
    region: str
    service: str
    at: datetime

    def presigned_query(self, host: str, query: Mapping[str, str], valid_s: int) -> str:
        """Return the query of a GET of `/` at `host` that carries its own signature."""
        words = {
            **query,
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.access_key_id}/{self._scope}",
            "X-Amz-Date": self._time,
            "X-Amz-Expires": str(valid_s),
            "X-Amz-SignedHeaders": "host",
        }
        if self.credentials.token:
            words["X-Amz-Security-Token"] = self.credentials.token
        line = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(words.items()))
        signature = self._sign("GET", line, {"host": host}, b"")
        return f"{line}&X-Amz-Signature={signature}"

    def post_headers(self, host: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return the headers of a POST of `body` to `/` at `host`, its signature among them."""
        signed = {"host": host, "x-amz-date": self._time, **headers}
        if self.credentials.token:
            signed["x-amz-security-token"] = self.credentials.token
        signature = self._sign("POST", "", signed, body)
        signed["authorization"] = (
            f"{ALGORITHM} Credential={self.credentials.access_key_id}/{self._scope}, "
            f"SignedHeaders={';'.join(sorted(set(signed)))}, Signature={signature}"
        )
        return signed

    @property
    def _time(self) -> str:
        return self.at.strftime("%Y%m%dT%H%M%SZ")

    @property
    def _scope(self) -> str:
        return f"{self.at:%Y%m%d}/{self.region}/{self.service}/aws4_request"

    def _sign(self, method: str, query: str, headers: Mapping[str, str], body: bytes) -> str:
        lines = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(headers.items()))
        names = ";".join(sorted(headers))
        request = "\n".join([method, "/", query, lines, names, _digest(body)])
        text = "\n".join([ALGORITHM, self._time, self._scope, _digest(request.encode())])
        key = f"AWS4{self.credentials.secret_access_key}".encode()
        for word in self._scope.split("/"):
            key = _mac(key, word)
        return _mac(key, text).hex()


def _quoted(text: str) -> str:
    return quote(text, safe=_UNRESERVED)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()

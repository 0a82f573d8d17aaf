"""AWS's signatures (Signature Version 4), for what is asked of AWS without its SDK.

It is in the domain because the service and the validation function both sign, and neither imports
the other; it is pure: keys, words and a time in, a signature out. An SDK would do the same for
fourteen megabytes or more and a third of a second at every start (decisions 0015 and 0020).
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
# A login is looked at when the connection is made, and never again.
TOKEN_VALID_S: Final = 900

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

    def login_token(self, host: str, user: str) -> str:
        """Return the password of `user` at the database `host:port`.

        https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
        """
        words = {
            "Action": "connect",
            "DBUser": user,
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.access_key_id}/{self._scope}",
            "X-Amz-Date": self._time,
            "X-Amz-Expires": str(TOKEN_VALID_S),
            "X-Amz-SignedHeaders": "host",
        }
        if self.credentials.token:
            words["X-Amz-Security-Token"] = self.credentials.token
        query = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(words.items()))
        request = ["GET", "/", query, f"host:{host}\n", "host", _digest(b"")]
        return f"{host}/?{query}&X-Amz-Signature={self._sign(request)}"

    def signed_headers(
        self, request: tuple[str, str, str], headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers of a request, which is a method, a host and a quoted path."""
        method, host, path = request
        signed = {"host": host, "x-amz-date": self._time, **headers}
        if self.credentials.token:
            signed["x-amz-security-token"] = self.credentials.token
        lines = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(signed.items()))
        names = ";".join(sorted(signed))
        signature = self._sign([method, path, "", lines, names, _digest(body)])
        signed["authorization"] = (
            f"{ALGORITHM} Credential={self.credentials.access_key_id}/{self._scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return signed

    @property
    def _time(self) -> str:
        return self.at.strftime("%Y%m%dT%H%M%SZ")

    @property
    def _scope(self) -> str:
        return f"{self.at:%Y%m%d}/{self.region}/{self.service}/aws4_request"

    def _sign(self, request: list[str]) -> str:
        hashed = _digest("\n".join(request).encode())
        text = f"{ALGORITHM}\n{self._time}\n{self._scope}\n{hashed}"
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

"""AWS's signatures (Signature Version 4) for the two things the function needs them for.

A login to the database is a presigned query; an object of the transaction log is a signed PUT. An
SDK would do the same for fourteen megabytes and a third of a second of every cold start. It is
separate because it is pure: keys, words and a time in, a signature out.
https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
# A login is looked at when the connection is made, and never again.
TOKEN_VALID_S: Final = 900

_UNRESERVED: Final = "-_.~"


class Credentials(NamedTuple):
    """The keys of the function's role, as Lambda puts them into its environment.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """

    access_key_id: str
    secret_access_key: str
    token: str | None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """Return the keys in `environment`; raise KeyError without any."""
        return cls(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN") or None,
        )


class Signer(NamedTuple):
    """Who signs, for which service of which region, and when."""

    credentials: Credentials
    region: str
    service: str
    at: datetime

    def login_token(self, host: str, user: str) -> str:
        """Return the password of `user` at the database `host:port`.

        https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
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

    def put_headers(
        self, host: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers of a PUT of `body` to `path`, already quoted, at `host`."""
        content = _digest(body)
        signed = {
            **headers,
            "host": host,
            "x-amz-content-sha256": content,
            "x-amz-date": self._time,
        }
        if self.credentials.token:
            signed["x-amz-security-token"] = self.credentials.token
        lines = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(signed.items()))
        names = ";".join(sorted(signed))
        signature = self._sign(["PUT", path, "", lines, names, content])
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
        text = "\n".join([ALGORITHM, self._time, self._scope, _digest("\n".join(request).encode())])
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

"""Whether a password is a valid IAM login to a database: a signed statement, checked part by part.

It is separate because it is pure. RDS tells the client no reason; here the reason goes to the
timeline, because in the twin it is the operator who wants to know.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote

from evertill.twin.parts.identities import Identities, Keys

ALGORITHM: Final = "AWS4-HMAC-SHA256"
VALID: Final = timedelta(minutes=15)
SKEW: Final = timedelta(minutes=5)
TIME_FORM: Final = "%Y%m%dT%H%M%SZ"
SIGNATURE: Final = "X-Amz-Signature"


class Door(NamedTuple):
    """What is logged in to: the names it has, its region, and its ARN without the user."""

    hosts: Collection[str]
    region: str
    arn: str


class Wrong(Exception):
    """What is wrong with a token."""


def check(token: str, user: str, door: Door, identities: Identities, now: datetime) -> None:
    """Return if `token` lets `user` in; raise Wrong with the reason otherwise."""
    host, _, query = token.partition("/?")
    words = dict(parse_qsl(query))
    if words.get("Action") != "connect" or SIGNATURE not in words:
        raise Wrong("It is no IAM token.")
    if host not in door.hosts:
        raise Wrong(f"It is for {host}, and this is {' or '.join(door.hosts)}.")
    if words.get("DBUser") != user:
        raise Wrong(f"It is for the user {words.get('DBUser')}, and {user} logs in.")
    _check_time(words, now)
    scope = words.get("X-Amz-Credential", "").split("/")
    if scope[2:] != [door.region, "rds-db", "aws4_request"]:
        raise Wrong(f"It is for {'/'.join(scope[2:])}, and this is {door.region}/rds-db.")
    keys = identities.find(scope[0])
    if keys is None or keys.token != words.get("X-Amz-Security-Token"):
        raise Wrong("Nobody was given these keys, or they have expired.")
    if not hmac.compare_digest(signature(keys, host, words), words[SIGNATURE]):
        raise Wrong("The signature does not verify.")
    if not identities.allows(keys.role, "rds-db:connect", f"{door.arn}/{user}"):
        raise Wrong(f"No policy of {keys.role} grants rds-db:connect on {door.arn}/{user}.")


def signature(keys: Keys, host: str, words: Mapping[str, str]) -> str:
    """Return the signature that a presigned GET of `/` at `host` with these words carries.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    """
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(words.items())
        if name != SIGNATURE
    )
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{query}\nhost:{host}\n\nhost\n{empty}"
    scope = words["X-Amz-Credential"].partition("/")[2]
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{words['X-Amz-Date']}\n{scope}\n{hashed}"
    key = f"AWS4{keys.secret_access_key}".encode()
    for word in scope.split("/"):
        key = _mac(key, word)
    return _mac(key, text).hex()


def _check_time(words: Mapping[str, str], now: datetime) -> None:
    try:
        signed = datetime.strptime(words["X-Amz-Date"], TIME_FORM).replace(tzinfo=UTC)
        valid = min(VALID, timedelta(seconds=int(words["X-Amz-Expires"])))
    except (KeyError, ValueError):
        raise Wrong("It does not say when it was signed, or for how long.") from None
    if now >= signed + valid:
        raise Wrong("It has expired.")
    if signed > now + SKEW:
        raise Wrong("It was signed in the future.")


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()

"""Who a task or function is: temporary keys of its role, handed out as ECS does, and looked up.

It is separate because both ends need it: the process that signs gets its keys from here, and every
part that verifies a signature asks here whose key it is and what that role may do.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from evertill.twin.errors import PartFailed
from evertill.twin.policies import NO_CONTEXT, Context, Statement, allows

VALID: Final = timedelta(hours=6)
# Renewed in time: who asks always gets keys that last a while.
RENEW_BEFORE: Final = timedelta(hours=1)
HOLDERS_MAX: Final = 10_000
PATH: Final = "/v2/credentials/"
# How the ids of all keys from here begin, also of those that have expired.
KEY_PREFIX: Final = "ASIATWIN"
KEY_BYTES: Final = 6
REQUEST_TIMEOUT_S: Final = 5.0
REQUEST_MAX_BYTES: Final = 16 * 1024


class Keys(msgspec.Struct, frozen=True):
    """Temporary keys of a role; times are the machine's own, which is what signatures carry."""

    role: str
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: datetime


def machine_time() -> datetime:
    """Return the machine's own time."""
    return datetime.now(UTC)


class Identities:
    """The keys of every role, and an address that hands them out by unguessable paths."""

    def __init__(
        self,
        host: str,
        port: int,
        policies: Mapping[str, Sequence[Statement]],
        *,
        now: Callable[[], datetime] = machine_time,
    ) -> None:
        """Hand out at `host` and `port` (0 for any); `policies` is by the ARN of a role."""
        self._host: Final = host
        self._port = port
        self._policies: Final = policies
        self._now: Final = now
        self._roles: dict[str, str] = {}
        self._current: dict[str, Keys] = {}
        self._known: dict[str, Keys] = {}
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        """Return the name."""
        return "identities"

    async def start(self) -> None:
        """Begin to hand out; raise PartFailed when the address is taken."""
        try:
            self._server = await asyncio.start_server(
                self._answer, self._host, self._port, limit=REQUEST_MAX_BYTES
            )
        except OSError as failure:
            message = f"The identities cannot listen on {self._host}:{self._port}."
            raise PartFailed(message) from failure
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hand out no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def status(self) -> dict[str, Any]:
        """Return how many have keys."""
        return {"listen": f"{self._host}:{self._port}", "holders": len(self._roles)}

    def uri(self, role: str) -> str:
        """Return the value of AWS_CONTAINER_CREDENTIALS_FULL_URI for a process with `role`."""
        if len(self._roles) >= HOLDERS_MAX:
            self._roles.pop(next(iter(self._roles)))
        path = secrets.token_urlsafe(24)
        self._roles[path] = role
        return f"http://{self._host}:{self._port}{PATH}{path}"

    def issue(self, role: str) -> Keys:
        """Return keys of `role` that are valid for a while."""
        now = self._now()
        keys = self._current.get(role)
        if keys is None or keys.expiration - now < RENEW_BEFORE:
            keys = Keys(
                role,
                KEY_PREFIX + secrets.token_hex(KEY_BYTES).upper(),
                secrets.token_urlsafe(30),
                secrets.token_urlsafe(96),
                now + VALID,
            )
            self._current[role] = self._known[keys.access_key_id] = keys
            self._known = {
                known: item for known, item in self._known.items() if item.expiration > now
            } | {keys.access_key_id: keys}
        return keys

    def find(self, access_key_id: str) -> Keys | None:
        """Return keys that were issued and have not expired."""
        keys = self._known.get(access_key_id)
        return None if keys is None or keys.expiration <= self._now() else keys

    def role_of(self, access_key_id: str) -> str | None:
        """Return whose keys these are: "" for keys of ours that expired, None for nobody's here."""
        keys = self.find(access_key_id)
        if keys is None:
            return "" if access_key_id.startswith(KEY_PREFIX) else None
        return keys.role

    def allows(self, role: str, action: str, resource: str, context: Context = NO_CONTEXT) -> bool:
        """Tell whether the policies of `role` allow an action."""
        return allows(self._policies.get(role, ()), action, resource, context)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = self._document(head.decode("latin-1"))
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()

    def _document(self, head: str) -> tuple[str, bytes]:
        method, target, *_ = [*head.split(" ", 2), "", ""]
        role = self._roles.get(target.removeprefix(PATH)) if method == "GET" else None
        if role is None:
            return "404 Not Found", b"{}"
        keys = self.issue(role)
        document = {
            "RoleArn": keys.role,
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key,
            "Token": keys.token,
            "Expiration": keys.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return "200 OK", msgspec.json.encode(document)

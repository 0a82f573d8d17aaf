"""The gate in front of a database: speaks PostgreSQL's start-up and checks logins by IAM.

    TLS ended here -> start-up passed to the server -> a server that asks for nothing trusts us to
    have asked: the token is checked -> from then on bytes are carried as by any gate

It is separate from the plain gate because it knows a protocol. The server trusts the members of
`rds_iam` on its socket, which is what RDS's own check before PAM amounts to; everybody else it asks
for the password itself. A cancel request goes to the server that has the session. One thing is kept
from clients: a commit whose wait for the quorum was cancelled must not look like one that was
acknowledged, so such a session is broken, and the commit is unknown.
https://www.postgresql.org/docs/17/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, NamedTuple, cast

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts import database_tokens
from evertill.twin.parts.database_tokens import Door, Wrong
from evertill.twin.parts.flow import Side, join
from evertill.twin.parts.gate import Connection, FindPeer, Gate, Listen, Peer
from evertill.twin.parts.identities import Identities, machine_time

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
PROTOCOL_MAJOR: Final = 3
HEAD: Final = struct.Struct("!II")
MESSAGE: Final = struct.Struct("!cI")
AUTHENTICATION_OK: Final = struct.pack("!cII", b"R", 8, 0)
CLEARTEXT: Final = struct.pack("!cII", b"R", 8, 3)
STARTUP_MAX_BYTES: Final = 10_000
PASSWORD_MAX_BYTES: Final = 65_536
LOGIN_TIMEOUT_S: Final = 60.0
SESSIONS_MAX: Final = 4_000
REFUSED: Final = "28000"
# RDS's own logins, which nobody else may use.
RESERVED: Final = ("rdsadmin", "rdsrepladmin")
WAIT_CANCELLED: Final = b"canceling wait for synchronous replication"


# Tells whether a session, by its server and process, is a commit that waits for the quorum.
IsWaiting = Callable[[Peer, int], Awaitable[bool]]


class Rules(NamedTuple):
    """How an endpoint lets in: its certificate, its names for tokens, whether TLS is a must."""

    tls: ssl.SSLContext
    find_door: Callable[[], Door]
    force_ssl: bool
    identities: Identities
    is_waiting: IsWaiting
    now: Callable[[], datetime] = machine_time


class Refused(Exception):
    """The client is not let in."""


class DatabaseGate(Gate):
    """A gate that leads to the sockets of database instances."""

    def __init__(  # noqa: PLR0913 - the world that a part lives in, each by its name
        self,
        name: str,
        listen: Listen,
        find_peer: FindPeer,
        *,
        rules: Rules,
        clock: Clock,
        links: Links,
        timeline: Timeline,
        refusal: str = "",
    ) -> None:
        """Let in by `rules`; the rest is as for any gate."""
        super().__init__(
            name, listen, find_peer, clock=clock, links=links, timeline=timeline, refusal=refusal
        )
        self._rules: Final = rules
        self._sessions: dict[bytes, Peer] = {}

    async def serve(self, connection: Connection) -> None:
        """Carry one session, or pass one cancel request on."""
        peer = await self.reach(connection)
        if peer is None:
            return
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                await self._let_in(connection, peer)
        except Refused as refusal:
            connection.client.transport.write(_error(str(refusal)))
            connection.client.transport.close()
            if connection.server is not None:
                connection.server.transport.abort()
        except TimeoutError:
            connection.abort()

    async def _let_in(self, connection: Connection, peer: Peer) -> None:
        client = connection.client
        is_encrypted, code, body = await self._first_request(client)
        if code == CANCEL_REQUEST:
            await self._cancel(body)
            client.transport.close()
            return
        words = _words(body)
        user = words.get("user", "")
        if not is_encrypted and self._rules.force_ssl:
            raise Refused(_no_entry(user, words, self.listen.host))
        if user in RESERVED:
            raise Refused(f'password authentication failed for user "{user}"')
        server = await self.open(connection, peer)
        if server is None:
            return
        server.transport.write(HEAD.pack(len(body) + HEAD.size, code) + body)
        kind, payload = await _message(server)
        if kind + payload == AUTHENTICATION_OK[:1] + AUTHENTICATION_OK[MESSAGE.size :]:
            if not is_encrypted:
                raise Refused(_no_entry(user, words, self.listen.host))
            await self._check_token(client, user)
        client.transport.write(MESSAGE.pack(kind, len(payload) + 4) + payload)
        watch = _Watch(self._sessions, peer)
        join(client, server, self.wires(peer), watch.passes)
        watch.end_with(server)

    async def _first_request(self, client: Side) -> tuple[bool, int, bytes]:
        """Return whether TLS is in force, and the first request that is not about that."""
        is_encrypted = False
        while True:
            size, code = HEAD.unpack(await client.read(HEAD.size))
            if not HEAD.size <= size <= STARTUP_MAX_BYTES:
                raise Refused("invalid length of startup packet")
            body = await client.read(size - HEAD.size)
            if code == SSL_REQUEST and not is_encrypted:
                await self._encrypt(client)
                is_encrypted = True
            elif code == GSS_REQUEST:
                client.transport.write(b"N")
            elif code == CANCEL_REQUEST or code >> 16 == PROTOCOL_MAJOR:
                return is_encrypted, code, body
            else:
                raise Refused("unsupported frontend protocol")

    async def _encrypt(self, client: Side) -> None:
        # What was sent before could be somebody else's, put in front of the encrypted session.
        if client.unread_bytes:
            raise Refused("received unencrypted data after SSL request")
        client.transport.write(b"S")
        transport = await asyncio.get_running_loop().start_tls(
            client.transport, client, self._rules.tls, server_side=True
        )
        # It may be None for asyncio's types only: a transport that is open can be upgraded.
        client.transport = cast("asyncio.Transport", transport)

    async def _check_token(self, client: Side, user: str) -> None:
        client.transport.write(CLEARTEXT)
        kind, payload = await _message(client, PASSWORD_MAX_BYTES)
        token = payload.rstrip(b"\0").decode(errors="replace") if kind == b"p" else ""
        door = self._rules.find_door()
        try:
            database_tokens.check(token, user, door, self._rules.identities, self._rules.now())
        except Wrong as wrong:
            self.timeline.tell(
                door.region, self.name, "database.login_refused", str(wrong), user=user
            )
            raise Refused(f'PAM authentication failed for user "{user}"') from wrong

    async def _cancel(self, key: bytes) -> None:
        """Pass a cancel request on, unless what it would cancel is a commit that waits."""
        peer = self._sessions.get(key)
        process = int.from_bytes(key[:4], "big")
        if peer is None or await self._rules.is_waiting(peer, process):
            return
        _, writer = await asyncio.open_unix_connection(peer.socket)
        writer.write(HEAD.pack(len(key) + HEAD.size, CANCEL_REQUEST) + key)
        writer.close()
        await writer.wait_closed()


class _Watch:
    """Reads along what a server says until it is ready, to know whose session it is."""

    def __init__(self, sessions: dict[bytes, Peer], peer: Peer) -> None:
        self._sessions = sessions
        self._peer = peer
        self._rest: bytes | None = b""
        self._tail = b""
        self._key = b""

    def passes(self, data: bytes) -> bool:
        """Take note of what passes; false when it must not be delivered."""
        if self._rest is not None:
            self._read(self._rest + data)
        seen = self._tail + data
        self._tail = seen[-len(WAIT_CANCELLED) :]
        return WAIT_CANCELLED not in seen

    def end_with(self, server: Side) -> None:
        """Forget the session when the server's end is gone."""
        before = server.gone

        def gone() -> None:
            self._sessions.pop(self._key, None)
            if before is not None:
                before()

        server.gone = gone

    def _read(self, data: bytes) -> None:
        while len(data) >= MESSAGE.size:
            kind, size = MESSAGE.unpack_from(data)
            if kind == b"Z":
                self._rest = None
                return
            if len(data) < size + 1:
                break
            if kind == b"K":
                self._remember(data[MESSAGE.size : size + 1])
            data = data[size + 1 :]
        self._rest = data

    def _remember(self, key: bytes) -> None:
        if len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        self._key = key
        self._sessions[key] = self._peer


async def _message(side: Side, size_max: int = STARTUP_MAX_BYTES) -> tuple[bytes, bytes]:
    kind, size = MESSAGE.unpack(await side.read(MESSAGE.size))
    if not MESSAGE.size - 1 <= size <= size_max:
        raise Refused("invalid message length")
    return kind, await side.read(size - 4)


def _words(body: bytes) -> dict[str, str]:
    parts = [part.decode(errors="replace") for part in body.split(b"\0")]
    return dict(zip(parts[::2], parts[1::2], strict=False))


def _no_entry(user: str, words: dict[str, str], host: str) -> str:
    database = words.get("database", user)
    return (
        f'no pg_hba.conf entry for host "{host}", user "{user}", database "{database}", '
        "no encryption"
    )


def _error(text: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{REFUSED}\0M{text}\0\0".encode()
    return MESSAGE.pack(b"E", len(fields) + 4) + fields

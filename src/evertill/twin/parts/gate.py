"""A gate: the relay between a consumer and one thing it depends on, with an address of its own.

It is where the twin's network is. A gate stands at the consumer's side, asks for each new
connection where the thing is now (the writer may have moved), and carries the bytes as slowly as
the link between the two places lets them. It guards against mistakes and not against hostile code:
everything runs on one loopback interface, and who knows what is behind a gate can go there.

A cut link is a partition: bytes stop in the middle of open connections and go on when it is undone,
new connections get no answer. A user-space relay cannot drop a SYN, so `connect` itself succeeds
and the silence begins after it. Delays and throughputs are in twin time, as everything is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.links import Links, slowed
from evertill.twin.parts.flow import STALL_MAX_S, Inspect, Side, Wire, join, passes

CONNECTIONS_MAX: Final = 4_000
BACKLOG_MAX: Final = 512
CONNECT_TIMEOUT_S: Final = 10.0


class Peer(msgspec.Struct, frozen=True):
    """What a gate leads to: a place, and there an address with a port, or a local socket."""

    place: str
    host: str = ""
    port: int = 0
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


class Listen(msgspec.Struct, frozen=True):
    """Where a gate stands: the consumer's place, and the address that the consumer connects to."""

    place: str
    host: str
    port: int


# Nothing means that nothing answers there: a standby's writer endpoint, a rule that is missing.
FindPeer = Callable[[], Peer | None]


class Connection:
    """One connection through a gate: the consumer's end, and the other once there is one."""

    def __init__(self, client: Side) -> None:
        """Begin with the consumer's end alone."""
        self.client: Final = client
        self.server: Side | None = None
        self.peer: Peer | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether both ends are gone; behind a cut, one may stay without the other."""
        return self.client.is_gone and (self.server is None or self.server.is_gone)

    def abort(self) -> None:
        """Break both ends at once."""
        for side in (self.client, self.server):
            if side is not None:
                if side.outward is not None:
                    side.outward.forget()
                side.transport.abort()


class Gate:
    """Listens at one address and relays to wherever `find_peer` says at the time."""

    def __init__(
        self,
        name: str,
        listen: Listen,
        find_peer: FindPeer,
        *,
        clock: Clock,
        links: Links,
        timeline: Timeline,
        refusal: str = "",
    ) -> None:
        """Relay from `listen`. With a `refusal`, such as the missing rule, nobody gets through."""
        self._name: Final = name
        self.listen: Final = listen
        self.find_peer: Final = find_peer
        self.clock: Final = clock
        self.links: Final = links
        self.timeline: Final = timeline
        self._refusal: Final = refusal
        self._has_told = False
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._wires: dict[str, tuple[Wire, Wire]] = {}
        # What is behind this gate is slow to answer, though the link is not: by its place.
        self._slow_ms: dict[str, float] = {}
        self._accepted = 0
        links.watch(self._poke)

    @property
    def name(self) -> str:
        """Return the name."""
        return self._name

    @property
    def port(self) -> int | None:
        """Return the port that it listens on, which it chose itself where 0 was asked for."""
        if self._server is None:
            return None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen; raise PartFailed when the address is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Side(self._accept), self.listen.host, self.listen.port, backlog=BACKLOG_MAX
            )
        except OSError as failure:
            message = f"{self._name} cannot listen on {self.listen.host}:{self.listen.port}."
            raise PartFailed(message) from failure

    async def stop(self) -> None:
        """Break every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.break_all()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Return where it leads and how much went through."""
        peer = self.find_peer()
        return {
            "listen": f"{self.listen.host}:{self.listen.port}",
            "place": self.listen.place,
            "to": "" if peer is None else str(peer),
            "to_place": "" if peer is None else peer.place,
            "refusal": self._refusal,
            "connections": len(self._connections),
            "accepted": self._accepted,
            "out_bytes": sum(out.carried_bytes for out, _ in self._wires.values()),
            "back_bytes": sum(back.carried_bytes for _, back in self._wires.values()),
        }

    def slow(self, places: Iterable[str], delay_ms: float) -> None:
        """Let what comes from `places` take so much longer; a negative time takes that back."""
        for place in places:
            self._slow_ms[place] = self._slow_ms.get(place, 0) + delay_ms
        self._poke()

    def break_all(self, peer: Peer | None = None) -> None:
        """Break the connections to `peer`, or all: what a dead machine's end looks like."""
        for connection in tuple(self._connections):
            if peer is None or connection.peer == peer:
                connection.abort()

    async def serve(self, connection: Connection) -> None:
        """Carry one connection; a gate that speaks a protocol first replaces this."""
        peer = await self.reach(connection)
        if peer is not None:
            await self.connect(connection, peer)

    async def reach(self, connection: Connection) -> Peer | None:
        """Return the peer once its link is open; None when nobody is to be reached."""
        peer = self.find_peer()
        if self._refusal:
            self._tell_refusal()
            peer = None
        if peer is None:
            # Nothing answers. The client's own time-out ends this, or at last TCP's.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    connection.client.left.wait(), self.clock.real_s(STALL_MAX_S)
                )
            connection.abort()
            return None
        try:
            for wire in self.wires(peer):
                await wire.pass_through(0, self.clock.now_s())
        except TimeoutError:
            connection.abort()
            return None
        return peer

    async def connect(
        self, connection: Connection, peer: Peer, inspect: Inspect = passes
    ) -> Side | None:
        """Connect to `peer` and join both ends; a peer that refuses breaks the client's end."""
        side = await self.open(connection, peer)
        if side is not None:
            join(connection.client, side, self.wires(peer), inspect)
        return side

    async def open(self, connection: Connection, peer: Peer) -> Side | None:
        """Connect to `peer` for `connection`; None, and the client's end broken, when it fails."""
        loop = asyncio.get_running_loop()
        connection.peer = peer
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if peer.socket:
                    _, side = await loop.create_unix_connection(Side, peer.socket)
                else:
                    _, side = await loop.create_connection(Side, peer.host, peer.port)
        except (OSError, TimeoutError):
            connection.abort()
            return None
        connection.server = side
        side.gone = lambda: self._ended(connection)
        return side

    def wires(self, peer: Peer) -> tuple[Wire, Wire]:
        """Return the wires to and from the peer's place."""
        place = peer.place
        if place not in self._wires:
            mine = self.listen.place
            self._wires[place] = (
                Wire(lambda: self.links.way(mine, place), self.clock),
                Wire(
                    lambda: slowed(self.links.way(place, mine), self._slow_ms.get(place, 0)),
                    self.clock,
                ),
            )
        return self._wires[place]

    def _poke(self) -> None:
        for out, back in self._wires.values():
            out.poke()
            back.poke()

    def _accept(self, client: Side) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            client.transport.abort()
            return
        self._accepted += 1
        connection = Connection(client)
        self._connections.add(connection)
        task = asyncio.get_running_loop().create_task(self._guard(connection))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

        def gone() -> None:
            if connection.server is None:
                task.cancel()
            self._ended(connection)

        client.gone = gone

    def _ended(self, connection: Connection) -> None:
        if connection.is_over:
            self._connections.discard(connection)

    async def _guard(self, connection: Connection) -> None:
        try:
            await self.serve(connection)
        except OSError:
            connection.abort()

    def _tell_refusal(self) -> None:
        if not self._has_told:
            self._has_told = True
            self.timeline.tell("", self._name, "gate.refused", self._refusal)

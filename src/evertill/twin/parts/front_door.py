"""The door at `https://localhost:8443`: the public name as a client with a DNS cache reaches it.

It is separate from the load balancers because it is no part of the cloud: it is the user's side. It
asks for the name, keeps the answer for its time to live and no longer, and opens new connections
where the answer points; open ones stay, as a client's do. Bytes pass through an HAProxy of its own
untouched, so the certificate that is shown is the load balancer's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.twin.addresses import local_port
from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts.black_hole import BlackHole
from evertill.twin.parts.haproxy import program
from evertill.twin.parts.haproxy_admin import SOCKET, Admin, CommandRefused, NodeSilent
from evertill.twin.plan.dns_specs import Doors
from evertill.twin.processes import Owned, Processes, inherited

# Where the client stands, for links that are cut.
INTERNET: Final = "internet"
HOST: Final = "127.0.0.1"
# As many addresses as a load balancer has zones, and some more.
ADDRESSES_MAX: Final = 8
POLL_S: Final = 1.0
IDLE_TIMEOUT_S: Final = 3_600.0
# Each further address is tried after this, as a browser does (RFC 8305 allows less).
CONNECT_TIMEOUT_S: Final = 2.0
CONNECTIONS_MAX: Final = 4_000
START_TIMEOUT_S: Final = 20.0
START_POLL_S: Final = 0.02
# Another twin may have the ports of the templates: so many next ones are tried.
PORTS_TRIED_MAX: Final = 50
STOP_TIMEOUT_S: Final = 2.0

# The addresses of a name, each with the place that it is in, and their time to live.
Lookup = Callable[[str], Awaitable[tuple[Sequence[tuple[str, str]], int]]]


class FrontDoor:
    """The user's way in. It is a Part."""

    def __init__(
        self,
        doors: Doors,
        *,
        lookup: Lookup,
        clock: Clock,
        links: Links,
        timeline: Timeline,
        processes: Processes,
        folder: Path,
    ) -> None:
        """Lead `doors.ports` of this machine to where `doors.name` points."""
        # Its ports are those that were asked for until the start, and from then on those it has.
        self.doors = doors
        self._lookup = lookup
        self._clock = clock
        self._links = links
        self._timeline = timeline
        self._processes = processes
        self._folder = folder
        self._admin = Admin(folder)
        self._hole: BlackHole | None = None
        self._owned: Owned | None = None
        self._following: asyncio.Task[None] | None = None
        self._found: list[tuple[str, str]] = []
        self._placed: list[str] = []
        self._expires_s = 0.0

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/front-door"

    async def start(self) -> None:
        """Open the doors, each at the next free port; raise PartFailed when they do not open."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.doors = _with_free_ports(self.doors)
        self._hole = BlackHole(HOST)
        (self._folder / "haproxy.cfg").write_text(self._configuration())
        try:
            await self._launch()
        except PartFailed:
            await self.stop()
            raise
        self._following = asyncio.create_task(self._keep_following())

    async def stop(self) -> None:
        """Close the doors."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None
        if self._owned is not None:
            await self._owned.stop(STOP_TIMEOUT_S)
        if self._hole is not None:
            self._hole.close()
            self._hole = None

    def status(self) -> dict[str, Any]:
        """Return where the doors are and lead to."""
        return {
            "name": self.doors.name,
            "ports": [port for port, _ in self.doors.ports],
            "addresses": [address for address, _ in self._found],
            "places": [place for _, place in self._found],
            "expires_in_s": max(0.0, self._expires_s - self._clock.now_s()),
        }

    async def _launch(self) -> None:
        self._placed = []
        self._owned = await self._processes.start(
            self.name,
            [program(), "-db", "-f", "haproxy.cfg"],
            environment=inherited(),
            log=self._folder / "log",
            directory=self._folder,
        )
        await self._until_it_answers(self._owned)
        await self._follow()

    def _configuration(self) -> str:
        lines = [
            "global",
            f"  stats socket unix@{SOCKET} mode 600 level admin",
            "  nbthread 1",
            # Else a second twin's door opens at the same port, and they share who comes.
            "  noreuseport",
            f"  maxconn {CONNECTIONS_MAX}",
            "defaults",
            "  mode tcp",
            f"  timeout connect {round(CONNECT_TIMEOUT_S * 1_000)}",
            f"  timeout client {round(IDLE_TIMEOUT_S)}s",
            f"  timeout server {round(IDLE_TIMEOUT_S)}s",
            # A client tries the next address of a name when one does not take the connection.
            f"  retries {ADDRESSES_MAX}",
            "  option redispatch 1",
        ]
        for port, _ in self.doors.ports:
            lines += [
                f"frontend {port}",
                f"  bind {HOST}:{port}",
                f"  default_backend to-{port}",
                f"backend to-{port}",
                "  balance roundrobin",
                *(f"  server a{n} {HOST}:1 disabled" for n in range(ADDRESSES_MAX)),
            ]
        return "\n".join(lines) + "\n"

    async def _until_it_answers(self, owned: Owned) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while owned.is_running:
                    with contextlib.suppress(NodeSilent):
                        await self._admin.ask("show version")
                        return
                    await asyncio.sleep(START_POLL_S)
        said = (self._folder / "log").read_text(errors="replace").splitlines()
        alerts = [line for line in said if "ALERT" in line]
        message = f"The front door did not open: {' '.join(alerts[:1]) or 'HAProxy is silent'}"
        raise PartFailed(message)

    async def _keep_following(self) -> None:
        while True:
            await self._clock.sleep(POLL_S)
            with contextlib.suppress(NodeSilent, CommandRefused, PartFailed):
                if self._owned is None or not self._owned.is_running:
                    await self._launch()
                await self._follow()

    async def _follow(self) -> None:
        """Ask for the name when the last answer has expired, and lead there."""
        if self._clock.now_s() >= self._expires_s:
            addresses, ttl_s = await self._lookup(self.doors.name)
            places = {place for _, place in self._found}
            self._found = list(addresses)[:ADDRESSES_MAX]
            self._expires_s = self._clock.now_s() + ttl_s
            self._tell(places)
        await self._lead()

    async def _lead(self) -> None:
        hole = "" if self._hole is None else f"addr {self._hole.address[0]}"
        wanted = [
            hole if self._is_cut(place) else f"addr {address}" for address, place in self._found
        ]
        if wanted == self._placed:
            return
        for port, listener in self.doors.ports:
            for number in range(ADDRESSES_MAX):
                server = f"to-{port}/a{number}"
                if number >= len(wanted):
                    await self._admin.do(f"set server {server} state maint")
                    continue
                target = local_port(listener)
                if wanted[number] == hole and self._hole is not None:
                    target = self._hole.address[1]
                    # What is open through a link that is cut does not go on.
                    await self._admin.ask(f"shutdown sessions server {server}")
                await self._admin.ask(f"set server {server} {wanted[number]} port {target}")
                await self._admin.do(f"set server {server} state ready")
        self._placed = wanted

    def _is_cut(self, place: str) -> bool:
        ways = self._links.way(INTERNET, place), self._links.way(place, INTERNET)
        return any(way.is_cut for way in ways)

    def _tell(self, before: set[str]) -> None:
        places = {place for _, place in self._found}
        if places != before:
            where = ", ".join(sorted(places)) or "nowhere"
            text = f"{self.doors.name} leads to {where}"
            self._timeline.tell("", self.name, "front_door.moved", text)


def _with_free_ports(doors: Doors) -> Doors:
    """Return the doors at ports that nobody listens at, the first from each that is asked for."""
    taken: set[int] = set()
    ports = []
    for wanted, behind in doors.ports:
        tried = range(wanted, wanted + PORTS_TRIED_MAX)
        port = next((n for n in tried if n not in taken and _is_free(n)), wanted)
        taken.add(port)
        ports.append((port, behind))
    return msgspec.structs.replace(doors, ports=tuple(ports))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # What an earlier one left in TIME_WAIT is nobody's.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True

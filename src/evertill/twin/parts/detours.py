"""Ways of load balancers through gates, for as long as a link is slow or narrow.

They are separate because only then is a request worth a relay of ours: on an open link a node
connects to its targets directly, and a link that is cut needs no relay either.
"""

from __future__ import annotations

import asyncio
from typing import Final

from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts.gate import Gate, Listen, Peer
from evertill.twin.parts.target_group import Target

HOST: Final = "127.0.0.1"
# More zones times targets than a twin on one machine has; what is beyond goes directly.
DETOURS_MAX: Final = 512


class Detours:
    """Gates between zones and targets' ports, made when they are first asked for. It is a Part."""

    def __init__(self, clock: Clock, links: Links, timeline: Timeline) -> None:
        """Begin with none."""
        self._clock = clock
        self._links = links
        self._timeline = timeline
        self._gates: dict[tuple[str, str, int], Gate] = {}
        self._starting: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Return the part's name."""
        return "global/detours"

    async def start(self) -> None:
        """Do nothing yet: gates are made when they are needed."""

    async def stop(self) -> None:
        """Break what is open and listen no more."""
        for task in tuple(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for gate in self._gates.values():
            await gate.stop()
        self._gates.clear()

    def status(self) -> dict[str, int]:
        """Return how many gates there are."""
        return {"gates": len(self._gates)}

    def __call__(self, zone: str, target: Target, port: int) -> tuple[str, int] | None:
        """Return where a node in `zone` reaches a target's port slowly; None while there is none.

        A gate that is not up yet is there when the node looks again, within a second.
        """
        key = zone, target.host, port
        gate = self._gates.get(key)
        if gate is None and len(self._gates) < DETOURS_MAX:
            self._make(key, target.zone)
        listening = None if gate is None else gate.port
        return None if listening is None else (HOST, listening)

    def _make(self, key: tuple[str, str, int], place: str) -> None:
        zone, host, port = key

        def find_peer() -> Peer:
            return Peer(place=self._links.place_of(host, place), host=host, port=port)

        gate = Gate(
            f"detour/{zone}/{host}:{port}",
            Listen(place=zone, host=HOST, port=0),
            find_peer,
            clock=self._clock,
            links=self._links,
            timeline=self._timeline,
        )
        self._gates[key] = gate
        task = asyncio.create_task(self._start(gate))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, gate: Gate) -> None:
        try:
            await gate.start()
        except PartFailed as failure:
            self._timeline.tell("", self.name, "detour.failed", str(failure))

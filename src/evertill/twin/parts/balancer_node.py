"""One node of a load balancer: an HAProxy in one zone, filled with targets, and looked after.

It is separate from the balancer because a node is what fails: it is killed, frozen and replaced
alone, while the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.parts.balancer_servers import Route, Servers
from evertill.twin.parts.haproxy import program
from evertill.twin.parts.haproxy_admin import Admin, CommandRefused, NodeSilent
from evertill.twin.parts.haproxy_text import NodeText, configuration
from evertill.twin.parts.target_group import Health, Key, TargetGroup
from evertill.twin.plan.balancer_specs import BalancerSpec
from evertill.twin.processes import Owned, Processes, inherited

CONFIGURATION: Final = "haproxy.cfg"
# How often the checks' results are read, and how often at least, however fast the clock is.
WATCH_INTERVAL_S: Final = 1.0
WATCH_INTERVAL_MIN_REAL_S: Final = 0.1
START_TIMEOUT_S: Final = 20.0
START_POLL_S: Final = 0.02
STOP_TIMEOUT_S: Final = 2.0
# AWS does not say how soon it replaces a node that failed. Nothing here depends on it.
REPLACEMENT_DELAY_S: Final = 60.0
LOG_LINE_BYTES_MAX: Final = 65_536

LogLines = Callable[[str, Sequence[str]], None]


class Node:
    """An HAProxy that serves the groups of `spec` in `zone`."""

    def __init__(  # noqa: PLR0913 - it knows no supervisor, so all it needs is handed to it
        self,
        spec: BalancerSpec,
        zone: str,
        groups: Mapping[str, TargetGroup],
        *,
        address: str,
        certificates: Mapping[int, Sequence[bytes]],
        bridges: Mapping[str, str],
        route: Route,
        read_log: LogLines,
        clock: Clock,
        timeline: Timeline,
        processes: Processes,
        folder: Path,
    ) -> None:
        """Listen at `address`; keep everything in `folder`.

        `certificates` are by listener's port, keys included; `bridges` is where functions are
        reached, by group; `route` says how targets are; `read_log` is given the log's lines.
        """
        self.zone: Final = zone
        self.address: Final = address
        self._spec = spec
        self._groups = groups
        self._certificates = certificates
        self._bridges = bridges
        self._route = route
        self._read_log = read_log
        self._clock = clock
        self._timeline = timeline
        self._processes = processes
        self._folder = folder
        self._admin = Admin(folder)
        self._owned: Owned | None = None
        self._servers: dict[str, Servers] = {}
        self._views: dict[str, dict[Key, Health]] = {}
        self._woken = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._log: asyncio.Server | None = None
        self._log_writers: set[asyncio.StreamWriter] = set()
        # Who keeps it down: it comes back when nobody does any more.
        self._held_by: set[str] = set()
        self._answers = False
        # The last command that HAProxy did not take, so that it is told once.
        self._refused = ""

    @property
    def answers(self) -> bool:
        """Tell whether it runs and answered when it was last asked."""
        return self._answers and self._owned is not None and self._owned.is_running

    def healthy(self, arn: str) -> int:
        """Return how many targets of a group this node finds healthy."""
        return sum(view.state == "healthy" for view in self._views.get(arn, {}).values())

    def unhealthy(self, arn: str) -> int:
        """Return how many targets of a group this node finds unhealthy."""
        return sum(view.state == "unhealthy" for view in self._views.get(arn, {}).values())

    async def start(self) -> None:
        """Come up and serve whatever targets there are; raise PartFailed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = await asyncio.start_server(self._take_log, "127.0.0.1", 0)
        try:
            await self._launch()
        except PartFailed:
            await self.stop()
            raise
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End it at once: a balancer that goes away drains nobody."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        self._forget()
        if self._owned is not None:
            await self._owned.stop(STOP_TIMEOUT_S)
        if self._log is not None:
            self._log.close()
            self._log = None
        for writer in tuple(self._log_writers):
            writer.close()

    async def kill(self, by: str = "") -> None:
        """Let the node fail and stay down until it is revived `by` the same: a fault."""
        self._held_by.add(by)
        if self._owned is not None:
            await self._owned.kill()
        self._forget()

    def freeze(self) -> None:
        """Let the node hang: it keeps its connections and answers nobody. A fault."""
        if self._owned is not None:
            self._owned.freeze()

    def thaw(self) -> None:
        """Undo `freeze`."""
        if self._owned is not None:
            self._owned.thaw()

    async def revive(self, by: str = "") -> None:
        """Undo `kill`: a new node takes the place; raise PartFailed."""
        self._held_by.discard(by)
        if not self._held_by and (self._owned is None or not self._owned.is_running):
            await self._launch()

    def wake(self) -> None:
        """Look at the groups and the routes now."""
        self._woken.set()

    async def _launch(self) -> None:
        self._write_configuration()
        self._owned = await self._processes.start(
            f"{self._spec.region}/load-balancer/{self._spec.name}/{self.zone}",
            [program(), "-db", "-f", CONFIGURATION],
            environment=inherited(),
            log=self._folder / "log",
            directory=self._folder,
        )
        await self._until_it_answers(self._owned)
        self._servers = {
            arn: Servers(group, self.zone, self._admin, self._clock, self._route)
            for arn, group in self._groups.items()
            if group.spec.kind == "ip"
        }
        for group in self._groups.values():
            group.attach(self._node, self.wake)
        self._answers = True
        await self._look()

    async def _until_it_answers(self, owned: Owned) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while owned.is_running:
                    with contextlib.suppress(NodeSilent):
                        await self._admin.ask("show version")
                        return
                    await asyncio.sleep(START_POLL_S)
        await owned.kill()
        said = (self._folder / "log").read_text(errors="replace").splitlines()
        alerts = [line for line in said if "ALERT" in line]
        message = f"{owned.name} did not start: {' '.join(alerts[:1]) or 'HAProxy does not answer'}"
        raise PartFailed(message)

    def _write_configuration(self) -> None:
        names: dict[int, tuple[str, ...]] = {}
        for port, certificates in self._certificates.items():
            names[port] = tuple(f"tls-{port}-{n}.pem" for n in range(len(certificates)))
            for name, certificate in zip(names[port], certificates, strict=True):
                file = self._folder / name
                file.touch(mode=0o600)
                file.write_bytes(certificate)
        host, port = self._log.sockets[0].getsockname() if self._log else ("127.0.0.1", 1)
        node = NodeText(
            address=self.address,
            certificates=names,
            bridges=self._bridges,
            log_address=f"{host}:{port}",
        )
        specs = {arn: group.spec for arn, group in self._groups.items()}
        text = configuration(self._spec, specs, node, self._clock, self._folder)
        (self._folder / CONFIGURATION).write_text(text)

    async def _watch(self) -> None:
        pause_s = max(WATCH_INTERVAL_MIN_REAL_S, self._clock.real_s(WATCH_INTERVAL_S))
        while True:
            with contextlib.suppress(TimeoutError):
                # `wait_for` of Python 3.11 may swallow a cancellation that comes with the event.
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            self._woken.clear()
            if self._owned is not None and self._owned.is_running:
                await self._look()
            elif not self._held_by:
                await self._replace()

    async def _look(self) -> None:
        """Bring HAProxy in line with the groups and report what its checks found."""
        try:
            for servers in self._servers.values():
                await servers.apply()
            states = {(state.backend, state.name): state for state in await self._admin.servers()}
            for arn, servers in self._servers.items():
                self._views[arn] = await servers.judge(states)
                self._groups[arn].report(self._node, self._views[arn])
            if not self._answers:
                for group in self._groups.values():
                    group.attach(self._node, self.wake)
            self._answers = True
        except NodeSilent:
            self._forget()
        except CommandRefused as refused:
            # It is asked again with the next look.
            if str(refused) != self._refused:
                self._refused = str(refused)
                self._tell("load_balancer.command_refused", self._refused)

    async def _replace(self) -> None:
        self._forget()
        self._tell("load_balancer.node_lost", f"The node in {self.zone} is gone")
        await self._clock.sleep(REPLACEMENT_DELAY_S)
        if self._held_by:
            return
        try:
            await self._launch()
        except PartFailed as failure:
            self._tell("load_balancer.node_failed", str(failure))
        else:
            self._tell("load_balancer.node_replaced", f"A new node serves {self.zone}")

    def _forget(self) -> None:
        """Say no more about targets: a node that does not answer knows nothing."""
        self._answers = False
        self._views.clear()
        for group in self._groups.values():
            group.detach(self._node)

    async def _take_log(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        self._log_writers.add(writer)
        with contextlib.suppress(OSError):
            while block := await reader.read(LOG_LINE_BYTES_MAX):
                *lines, rest = (rest + block).split(b"\n")
                self._read_log(self.zone, [line.decode(errors="replace") for line in lines])
        self._log_writers.discard(writer)
        writer.close()

    @property
    def _node(self) -> str:
        return f"{self._spec.arn}/{self.zone}"

    def _tell(self, kind: str, text: str) -> None:
        part = f"{self._spec.region}/load-balancer/{self._spec.name}"
        self._timeline.tell(self._spec.region, part, kind, text, zone=self.zone)

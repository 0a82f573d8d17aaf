"""An Aurora cluster: instances and copies of the log in three zones, of which one writes.

Its invariant: a commit that was acknowledged is in the log of two zones, so any one of them may be
lost; and there is no second writer, because every process of the old one is dead before another is
promoted. A loop compares what is with what should be and mends it, so the same code starts a new
cluster, one that was stopped, and one of which half was killed.

    heartbeat of the writer -> fail over -> bring back who is missing -> measure -> guard

It is separate from `failover`, which is the promotion alone, and from the global cluster, which
sets whom a cluster follows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.parts import database_founding as founding
from evertill.twin.parts import failover, small_disk
from evertill.twin.parts.database_programs import Programs
from evertill.twin.parts.gate import Gate, Listen, Peer
from evertill.twin.parts.lag import LagMeter
from evertill.twin.parts.postgres import REPLICATOR, SUPERUSER, Instance, Secrets
from evertill.twin.parts.receiver import Receiver
from evertill.twin.parts.rejoining import Rejoining
from evertill.twin.parts.small_disk import SmallDisk
from evertill.twin.parts.tending import Tending
from evertill.twin.plan.database_specs import ClusterSpec, MemberSpec
from evertill.twin.processes import Processes

# What the templates' parameter groups may say of the server; the rest belongs to RDS or to a gate.
PASSED_ON: Final = frozenset(
    {
        "deadlock_timeout",
        "default_transaction_isolation",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
        "log_lock_waits",
        "log_min_duration_statement",
        "log_statement",
        "random_page_cost",
        "statement_timeout",
        "work_mem",
    }
)
WAITING: Final = "SELECT 1 FROM pg_stat_activity WHERE pid = $1::int AND wait_event = 'SyncRep'"
STATE_FILE: Final = "cluster.json"

Resolve = Callable[[str], Awaitable[str]]


class World(msgspec.Struct, frozen=True):
    """What every database part lives in."""

    clock: Clock
    links: Links
    timeline: Timeline
    processes: Processes
    programs: Programs
    secrets: Secrets
    # Reads a reference to a secret, as templates write them.
    resolve: Resolve
    # The size of each instance's disk, where they are small so that they can be filled.
    disk_mb: int = 0


class Kept(msgspec.Struct):
    """What a cluster remembers from run to run."""

    writer: str = ""
    parameters: dict[str, str] = {}
    # What the template said then: a template that says something else resets all of them.
    template: dict[str, str] | None = None


class Cluster:
    """The instances of one cluster in one region, and the gates that they follow each other by."""

    def __init__(self, spec: ClusterSpec, world: World, folder: Path) -> None:
        """Be a primary unless `follow` says otherwise before the start."""
        self.spec: Final = spec
        self.world: Final = world
        self._folder: Final = folder
        self._held: set[str] = set()
        self.instances: Final = {item.identifier: self._instance(item) for item in spec.instances}
        self.receivers: Final = {item.identifier: self._receiver(item) for item in spec.logs}
        self._gates: Final = [
            Gate(
                f"{spec.region}/gate/{item.identifier} to its writer",
                Listen(item.zone, item.host, item.port),
                self.upstream,
                clock=world.clock,
                links=world.links,
                timeline=world.timeline,
            )
            for item in (*spec.instances, *spec.logs)
        ]
        self.source: Cluster | None = None
        self.writer: Instance | None = None
        self.is_failing_over = False
        self.is_closed = False
        self.meter: Final = LagMeter()
        self.parameters: dict[str, str] = dict(spec.parameters)
        self.quorum = ""
        self.turn: Final = asyncio.Lock()
        self.rejoining: Final = Rejoining(self)
        self.tending: Final = Tending(self)
        self._next_reader = 0

    @property
    def name(self) -> str:
        """Return the name."""
        return self.spec.name

    @property
    def is_primary(self) -> bool:
        """Tell whether it has a writer of its own, rather than following another region's."""
        return self.source is None

    async def start(self) -> None:
        """Start the writer, or make it; the others come as soon as they can follow it."""
        self.world.programs.make_folder(self._folder)
        for gate in self._gates:
            await gate.start()
        for instance in self.instances.values():
            await instance.mount()
        kept = self._read()
        if kept.template == self.spec.parameters:
            self.parameters = kept.parameters
        if self.is_primary:
            await self._start_writer(self.instances.get(kept.writer) or self._first())
        self.tending.start()

    async def stop(self) -> None:
        """Stop the writer first, so that everybody gets all of its log, then the others."""
        await self.tending.stop()
        await self.rejoining.cancel()
        order = sorted(self.instances.values(), key=lambda item: item is not self.writer)
        for instance in order:
            with contextlib.suppress(PartFailed, OSError, TimeoutError):
                await instance.stop()
            with contextlib.suppress(OSError, TimeoutError):
                await instance.disk.stop()
        for receiver in self.receivers.values():
            with contextlib.suppress(PartFailed, OSError, TimeoutError):
                await receiver.stop()
        for gate in self._gates:
            await gate.stop()

    def status(self) -> dict[str, Any]:
        """Return the members, their roles and how far behind they are."""
        return {
            "role": "primary" if self.is_primary else "secondary",
            "state": self.state,
            "writer": "" if self.writer is None else self.writer.member,
            "quorum": self.quorum,
            "members": {
                **{name: self._status_of(item) for name, item in self.instances.items()},
                **{name: item.status() for name, item in self.receivers.items()},
            },
        }

    @property
    def state(self) -> str:
        """Return the state in RDS's words."""
        if self.is_failing_over:
            return "failing-over"
        if self.is_full:
            return "storage-full"
        if self.is_primary and (self.writer is None or not self.writer.is_running):
            return "unavailable"
        return "available"

    def upstream(self) -> Peer | None:
        """Return where the members get the log from: this cluster's writer or its source's."""
        head = self.writer if self.source is None else self.source.writer
        return None if head is None else Peer(head.place, socket=head.socket)

    def writer_peer(self) -> Peer | None:
        """Return where the cluster endpoint leads; a secondary's does not answer."""
        if self.is_closed or self.writer is None or not self.is_primary:
            return None
        return Peer(self.writer.place, socket=self.writer.socket)

    def reader_peer(self) -> Peer | None:
        """Return where the reader endpoint leads: to each reader in turn, else to the writer."""
        readers = [item for item in self.standbys() if item.is_running]
        if not readers:
            return self.writer_peer()
        self._next_reader += 1
        chosen = readers[self._next_reader % len(readers)]
        return Peer(chosen.place, socket=chosen.socket)

    def instance_peer(self, identifier: str) -> Peer | None:
        """Return where an instance's own endpoint leads."""
        instance = self.instances.get(identifier)
        return None if instance is None else Peer(instance.place, socket=instance.socket)

    def standbys(self) -> list[Instance]:
        """Return the instances that do not write."""
        return [item for item in self.instances.values() if item is not self.writer]

    def members(self) -> list[Instance | Receiver]:
        """Return everybody who has a copy of the log."""
        return [*self.instances.values(), *self.receivers.values()]

    def is_held(self, place: str) -> bool:
        """Tell whether a zone is lost, so that nothing there may be started."""
        return place in self._held

    async def hold(self, *zones: str) -> None:
        """Lose zones: whatever runs there ends at once and stays away."""
        self._held.update(zones)
        # Nobody there may be started a moment later.
        await self.rejoining.cancel()
        for member in self.members():
            if member.place in zones:
                await member.kill()

    def release(self, *zones: str) -> None:
        """Let zones be used again; the loop starts what belongs there."""
        self._held.difference_update(zones)

    @property
    def is_full(self) -> bool:
        """Tell whether the disks are kept full."""
        return any(item.disk.is_full for item in self.instances.values())

    async def fill_disks(self) -> None:
        """Leave nothing free on any disk, since Aurora has one for all; raise CannotFill."""
        for instance in self.instances.values():
            await instance.disk.fill()
        self.tell("storage_full", "Nothing is free on the disks of the cluster any more.")

    async def empty_disks(self) -> None:
        """Give back what filled the disks."""
        was_full = self.is_full
        for instance in self.instances.values():
            await instance.disk.empty()
        if was_full:
            self.tell("storage_freed", "The disks of the cluster have room again.")

    def slow_disks(self, delay_ms: float) -> None:
        """Let every copy of the log have it so much later; a negative time takes that back.

        A commit is acknowledged when the storage has it in another zone, so it waits for that.
        """
        head = self if self.source is None else self.source
        places = {item.place for item in (*self.members(), *head.members())}
        for gate in self._gates:
            gate.slow(places, delay_ms)

    async def fail_over(self, target: str = "") -> None:
        """Move the writer within the region, to `target` where one is named; raise PartFailed."""
        async with self.turn:
            await failover.fail_over(self, "It was asked for.", target)

    def settings_of(self, instance: Instance) -> dict[str, str]:
        """Return the server settings of an instance: the parameters, and whom commits wait for."""
        passed = {k: v for k, v in self.parameters.items() if k in PASSED_ON and "{" not in v}
        return {
            **small_disk.settings(self.world.disk_mb),
            **passed,
            "synchronous_standby_names": self.quorum or self.usual_quorum(instance),
        }

    def usual_quorum(self, writer: Instance) -> str:
        """Return that a copy in any one of the region's other zones must have a commit."""
        others = [f'"{item.member}"' for item in self.members() if item.place != writer.place]
        return f"ANY 1 ({', '.join(others)})" if others else ""

    async def is_waiting(self, peer: Peer, process: int) -> bool:
        """Tell whether a session is a commit that waits for the quorum."""
        for instance in self.instances.values():
            if instance.socket == peer.socket:
                return bool(await instance.ask(WAITING, str(process)))
        return False

    def break_replication(self) -> None:
        """Break what the members receive the log by; they connect again to whoever is right."""
        for gate in self._gates:
            gate.break_all()

    def set_quorum(self, quorum: str) -> None:
        """Let commits wait for other copies, or for the usual ones when empty."""
        if quorum != self.quorum:
            self.quorum = quorum
            if self.writer is not None and self.writer.is_running:
                self.writer.reload(self.settings_of(self.writer))

    def set_parameters(self, parameters: dict[str, str]) -> None:
        """Take other parameters, at once and for the next runs."""
        self.parameters = parameters
        self.keep()
        for instance in self.instances.values():
            if instance.is_running:
                instance.reload(self.settings_of(instance))

    def logins(self) -> str:
        """Return who may log in how: by IAM through trust, since a gate has verified the token."""
        lines = [
            f"local replication {REPLICATOR} scram-sha-256",
            f"local all {SUPERUSER} scram-sha-256",
        ]
        if self.spec.owner:
            # May grant rds_iam, which makes it a member, and logs in with its password.
            lines.append(f'local all "{self.spec.owner}" scram-sha-256')
        if self.spec.iam:
            lines.append("local all +rds_iam trust")
        return "\n".join([*lines, "local all all scram-sha-256", ""])

    def set_writer(self, writer: Instance | None) -> None:
        """Let another instance be the writer; it is written down before it is so."""
        self.writer = writer
        self.meter.forget()
        self.keep()

    def keep(self) -> None:
        """Write down what the next run needs to know."""
        writer = "" if self.writer is None else self.writer.member
        kept = Kept(writer, self.parameters, self.spec.parameters)
        draft = self._folder / f"{STATE_FILE}.new"
        draft.write_bytes(msgspec.json.encode(kept))
        draft.rename(self._folder / STATE_FILE)

    def tell(self, kind: str, text: str, **fields: str | float) -> None:
        """Tell the timeline."""
        self.world.timeline.tell(self.spec.region, self.name, f"database.{kind}", text, **fields)

    async def _start_writer(self, writer: Instance) -> None:
        is_new = not writer.has_data
        if is_new:
            await writer.initialise()
        was_standby = writer.is_standby
        self.set_writer(writer)
        await writer.start(self.settings_of(writer), self.logins())
        if was_standby:
            await writer.promote()
        if is_new:
            await founding.found_own(writer, self.world.secrets)
        if self.spec.master:
            password = await self.world.resolve(self.spec.password)
            await founding.found_owner(writer, self.spec.master, password, self.spec.database)
        self.tell("writer", f"{writer.member} in {writer.place} is the writer.")

    def _first(self) -> Instance:
        first = min(self.spec.instances, key=lambda item: item.tier)
        return self.instances[first.identifier]

    def _read(self) -> Kept:
        try:
            return msgspec.json.decode((self._folder / STATE_FILE).read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):
            return Kept()

    def _status_of(self, instance: Instance) -> dict[str, Any]:
        is_writer = instance is self.writer
        return {
            "place": instance.place,
            "role": "writer" if is_writer and self.is_primary else "reader",
            "running": instance.is_running,
            "frozen": instance.is_frozen,
            **self.tending.figures_of(instance),
        }

    def _instance(self, item: MemberSpec) -> Instance:
        world, name = self.world, f"{self.spec.region}/database/{item.identifier}"
        folder, account = self._folder / item.identifier, world.programs.account
        return Instance(
            name,
            item.zone,
            SmallDisk(name, folder, world.disk_mb, account, world.processes),
            programs=self.world.programs,
            processes=self.world.processes,
            secrets=self.world.secrets,
            upstream=(item.host, item.port),
        )

    def _receiver(self, item: MemberSpec) -> Receiver:
        return Receiver(
            f"{self.spec.region}/database/{item.identifier}",
            item.zone,
            self._folder / item.identifier,
            programs=self.world.programs,
            processes=self.world.processes,
            secrets=self.world.secrets,
            upstream=(item.host, item.port),
        )

"""What a drill is run on, as the drill sees it: doors, faults, a status, databases and logs.

It is a protocol, because the drill must not know more of a twin than an operator knows of AWS, and
so that its own parts are tried on something smaller.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from evertill.drill.doors import Door
from evertill.drill.steps import Value
from evertill.journal.stores import Store


class Alarm(msgspec.Struct, frozen=True):
    """An alarm that went off, and when (seconds of the platform's clock since its start)."""

    region: str
    name: str
    at_s: float


class Lease(msgspec.Struct, frozen=True):
    """Who may write."""

    region: str
    epoch: int


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """The platform at one moment.

    `up_s` is its clock; `is_steady` means that every service runs what it should and that exactly
    one region says it takes payments.
    """

    up_s: float
    active: str
    standby: str
    is_steady: bool
    lease: Lease | None
    alarms: list[Alarm]


class Copy(msgspec.Struct, frozen=True):
    """A copy of the transaction log, and where it is."""

    place: str
    store: Store


class Ground(Protocol):
    """Something that payments are taken on, and that faults can be done to."""

    @property
    def speed(self) -> float:
        """How many of the platform's seconds go by in one."""

    @property
    def key(self) -> str:
        """The API key of the merchant that payments are taken for."""

    @property
    def words(self) -> Mapping[str, str]:
        """What drill files may name: the regions and zones as they were at the beginning."""

    @property
    def context(self) -> ssl.SSLContext:
        """What checks the servers' certificates."""

    def doors(self, observers: Sequence[str], chance: random.Random) -> list[Door]:
        """Return the ways in of these observers."""

    async def glance(self) -> Glance:
        """Look at everything once."""

    async def inflict(self, fault: str, parameters: Mapping[str, Value]) -> str:
        """Do a fault and return its id; raise FaultRefused."""

    async def undo(self, fault_id: str) -> None:
        """Undo a fault, or all of them for an empty id."""

    async def deploy(self, kind: str, within_s: float) -> str:
        """Roll out a deployment of the active region's service; return how it ended."""

    async def is_ready(self, region: str) -> bool:
        """Ask a region's own name once whether it takes payments, as an outside probe does."""

    def databases(self) -> list[tuple[str, str]]:
        """Return the databases that can be asked now: the writer's first, with their DSNs."""

    def logs(self) -> list[Copy]:
        """Return the copies of the log that can be read now."""

    def recovery_arguments(self) -> list[str]:
        """Return the options by which `evertill recovery` finds this platform."""

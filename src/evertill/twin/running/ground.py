"""What everything in one twin stands on: its time, its links, its record of processes, its keys.

It is separate because every concern takes some of it, and because it is there before any part is.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from evertill.twin.clock import Clock
from evertill.twin.events import Timeline
from evertill.twin.links import Links
from evertill.twin.metrics import MetricStore
from evertill.twin.parts import database_programs
from evertill.twin.parts.authorities import Authority
from evertill.twin.parts.aws_region import Common
from evertill.twin.parts.clocks import Clocks
from evertill.twin.parts.identities import Identities
from evertill.twin.parts.mail import Mailbox
from evertill.twin.parts.postgres import Secrets
from evertill.twin.plan.plan import Plan
from evertill.twin.plan.policies import policies_of
from evertill.twin.processes import Processes

RECORD: Final = "processes.jsonl"
EVENTS: Final = "events.jsonl"
MAIL: Final = "mail"
CLOCKS: Final = "clocks"
PASSWORDS: Final = "passwords.json"
AUTHORITIES: Final = "authorities.pem"
IDENTITIES_PORT: Final = 4567
PASSWORD_BYTES: Final = 24


class Wanted(msgspec.Struct, frozen=True):
    """What a twin is prepared for from its start, because it costs something without need.

    With `disk_mb` each database lies on a disk of that size in memory, which can be filled; with
    `clock_faults` the clocks of tasks and databases can jump.
    """

    disk_mb: int = 0
    clock_faults: bool = False


NOTHING: Final = Wanted()


class Ground:
    """The ground of a twin whose data is in `folder`."""

    def __init__(self, plan: Plan, folder: Path, speed: float, wanted: Wanted = NOTHING) -> None:
        """Prepare; nothing is started. The folder is this twin's alone while it runs."""
        self.plan: Final = plan
        self.folder: Final = folder
        self.disk_mb: Final = wanted.disk_mb
        self.clocks: Final = Clocks(folder / CLOCKS, are_wanted=wanted.clock_faults)
        self.clock: Final = Clock(speed)
        self.links: Final = Links(plan.places.region_of_zones())
        self.events: Final = (folder / EVENTS).open("ab")
        self.timeline: Final = Timeline(self.clock, self.events)
        self.store: Final = MetricStore(self.clock)
        self.processes: Final = Processes(folder / RECORD)
        self.mailbox: Final = Mailbox(folder / MAIL, self.clock, self.timeline)
        self.authority: Final = Authority()
        self.authorities: Final = self.authority.write(folder / AUTHORITIES)
        self.programs: Final = database_programs.Programs.find(folder)._replace(
            clock=lambda name: self.clocks.environment(name.partition("/")[0], name)
        )
        policies = policies_of(plan.model, plan.bindings)
        self.identities: Final = Identities(
            plan.addresses.shared(), IDENTITIES_PORT, policies.statements
        )
        self.passwords: Final = _passwords(folder / PASSWORDS)

    def common(self, is_up: Callable[[str], bool]) -> Common:
        """Return what the AWS side of every region shares; `is_up` tells of lost regions."""
        return Common(
            clock=self.clock,
            links=self.links,
            timeline=self.timeline,
            store=self.store,
            processes=self.processes,
            addresses=self.plan.addresses,
            folder=self.folder / "aws",
            mailbox=self.mailbox,
            is_up=is_up,
        )

    def close(self) -> None:
        """Give back what no part holds."""
        self.programs.close()
        self.events.close()


def _passwords(path: Path) -> Secrets:
    """Return the passwords of the twin's own logins, made once: the databases outlive a run."""
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    made = Secrets(secrets.token_hex(PASSWORD_BYTES), secrets.token_hex(PASSWORD_BYTES))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(made))
    return made

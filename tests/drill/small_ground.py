"""The quick start as a drill's ground: one region, whose workers and database can be killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.world import Supervised
from tests.support.postgres import Database
from tests.support.service import Merchant

from evertill.drill.doors import Door, FixedDoor
from evertill.drill.errors import FaultRefused
from evertill.drill.ground import Copy, Glance
from evertill.drill.steps import Value
from evertill.journal.stores import FolderStore
from evertill.quickstart import Cluster

REGION = "here"


class SmallGround:
    """A supervised service on a PostgreSQL of its own. It is a Ground."""

    speed = 1.0

    def __init__(
        self, service: Supervised, cluster: Cluster, database: Database, merchant: Merchant
    ) -> None:
        """Take payments of `merchant` there."""
        self.key = merchant.key
        self._service, self._cluster, self._database = service, cluster, database
        self._log = Path(service.log).parent / "log"
        self._began_s = time.monotonic()

    @property
    def words(self) -> Mapping[str, str]:
        """What drill files may name."""
        return {"active": REGION}

    @property
    def context(self) -> ssl.SSLContext:
        """What checks certificates, of which there are none."""
        return ssl.create_default_context()

    def doors(self, observers: Sequence[str], chance: random.Random) -> list[Door]:
        """Return the one way in for every observer."""
        del chance
        return [FixedDoor(name, self._service.url, "localhost", REGION) for name in observers]

    async def glance(self) -> Glance:
        """Look at everything once."""
        return Glance(
            up_s=time.monotonic() - self._began_s,
            active=REGION,
            standby="",
            is_steady=await asyncio.to_thread(self._service.answers, "/ready"),
            lease=None,
            alarms=[],
        )

    async def inflict(self, fault: str, parameters: Mapping[str, Value]) -> str:
        """Kill a worker, or the database, which is started again; raise FaultRefused."""
        if fault == "kill-worker":
            os.kill(self._service.pids[int(parameters["place"])], signal.SIGKILL)
        elif fault == "kill-database":
            os.kill(self._cluster.pid, signal.SIGKILL)
            await asyncio.sleep(1)
            await asyncio.to_thread(self._cluster.restart)
        else:
            raise FaultRefused(f"There is no fault {fault!r}.")
        return "1"

    async def undo(self, fault_id: str) -> None:
        """Do nothing: what was killed is there again."""

    async def deploy(self, kind: str, within_s: float) -> str:
        """Refuse: nothing is deployed here."""
        raise FaultRefused(f"No deployment {kind} within {within_s} s: there is none here.")

    async def is_ready(self, region: str) -> bool:
        """Ask whether payments are taken."""
        del region
        return (await self.glance()).is_steady

    def databases(self) -> list[tuple[str, str]]:
        """Return the database."""
        return [(REGION, self._database.admin_url)]

    def logs(self) -> list[Copy]:
        """Return the log."""
        return [Copy(REGION, FolderStore(self._log))]

    def recovery_arguments(self) -> list[str]:
        """Return nothing: there is no other region."""
        return []

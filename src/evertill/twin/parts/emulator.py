"""The emulator of a region's objects, topics, secrets, tables, keys and logs: one process.

ministack keeps objects on disk as they are written, and everything else only when it ends. It is
therefore asked to end before it is killed, and what the templates name is made anew at each start,
so that only what was written into tables by hand depends on a good end (ADR 0046). One that dies in
between is started again, and nothing is passed on to it before what it forgot is there again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx

from evertill.twin.errors import PartFailed
from evertill.twin.events import Timeline
from evertill.twin.plan.bindings import ACCOUNT
from evertill.twin.processes import Owned, Processes, inherited

# Named as the emulator names them; each is imported at its first use only.
SERVICES: Final = ("s3", "sns", "sqs", "secretsmanager", "dynamodb", "sts", "kms", "logs", "iam")
# Of the machine, not of the twin: starting and ending are work.
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
PROBE_INTERVAL_S: Final = 0.05
PROBE_TIMEOUT_S: Final = 1.0
RESTART_PAUSE_S: Final = 1.0


class Emulator:
    """ministack for `region`, at an address of its own; its data is below `folder`."""

    def __init__(
        self,
        region: str,
        address: tuple[str, int],
        folder: Path,
        processes: Processes,
        timeline: Timeline,
    ) -> None:
        """Prepare; `region` is `global` for the tables that no region's loss takes away."""
        self._region: Final = region
        self._address: Final = address
        self._folder: Final = folder
        self._processes: Final = processes
        self._timeline: Final = timeline
        self._owned: Owned | None = None
        self._watching: asyncio.Task[None] | None = None
        # False while one that died has not been started again with all that belongs into it.
        self.is_ready = False
        # What makes that: called after each start but the first, for which the supervisor does.
        self.again: list[Callable[[], Awaitable[None]]] = []

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/emulator/objects"

    @property
    def url(self) -> str:
        """Return where it answers, to the twin alone."""
        return f"http://{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        """Start it, wait until it answers, and start it again whenever it dies."""
        self._watching = asyncio.create_task(self._watch(await self._launched()))
        self.is_ready = True

    async def _watch(self, owned: Owned) -> None:
        while True:
            status = await owned.wait()
            self.is_ready = False
            self._tell("emulator.lost", f"It has ended with {status} and is started again.")
            owned = await self._restarted()
            self.is_ready = True
            self._tell("emulator.restarted", "It answers again.")

    async def _restarted(self) -> Owned:
        while True:
            try:
                owned = await self._launched()
                for make in self.again:
                    await make()
            except PartFailed as failure:
                self._tell("emulator.failed", str(failure))
                await self._end()
                await asyncio.sleep(RESTART_PAUSE_S)
            else:
                return owned

    async def _launched(self) -> Owned:
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "emulator.log"
        self._owned = owned = await self._processes.start(
            self.name,
            [sys.executable, "-m", "ministack"],
            environment=self._environment(),
            log=log,
            directory=self._folder,
        )
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_TIMEOUT_S) as client:
            for _ in range(int(START_TIMEOUT_S / PROBE_INTERVAL_S)):
                if not owned.is_running:
                    break
                if await self._answers(client):
                    return owned
                await asyncio.sleep(PROBE_INTERVAL_S)
        await self._end()
        message = f"{self.name} did not start; {log} tells why."
        raise PartFailed(message)

    async def stop(self) -> None:
        """End it so that it writes down what it holds."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self.is_ready = False
        await self._end()

    async def _end(self) -> None:
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.stop(STOP_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return whether it runs."""
        running = self._owned is not None and self._owned.is_running
        return {"running": running, "pid": self._owned.pid if self._owned else None}

    def _tell(self, kind: str, text: str) -> None:
        region = "" if self._region == "global" else self._region
        self._timeline.tell(region, self.name, kind, text)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/_ministack/health")).is_success
        except httpx.HTTPError:
            return False

    def _environment(self) -> dict[str, str]:
        return {
            **inherited(),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "BIND_HOST": self._address[0],
            "GATEWAY_PORT": str(self._address[1]),
            "SERVICES": ",".join(SERVICES),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": self._region,
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._folder / "objects"),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder / "state"),
            "LOG_LEVEL": "WARNING",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }

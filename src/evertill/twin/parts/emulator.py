"""The emulator of a region's objects, topics, secrets, tables, keys and logs: one process.

ministack keeps objects on disk as they are written, and everything else only when it ends. It is
therefore asked to end before it is killed, and what the templates name is made anew at each start,
so that only what was written into tables by hand depends on a good end (ADR 0046).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from evertill.twin.errors import PartFailed
from evertill.twin.plan.bindings import ACCOUNT
from evertill.twin.processes import Owned, Processes, inherited

# Named as the emulator names them; each is imported at its first use only.
SERVICES: Final = ("s3", "sns", "sqs", "secretsmanager", "dynamodb", "sts", "kms", "logs", "iam")
# Of the machine, not of the twin: starting and ending are work.
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
PROBE_INTERVAL_S: Final = 0.05
PROBE_TIMEOUT_S: Final = 1.0


class Emulator:
    """ministack for `region`, at an address of its own; its data is below `folder`."""

    def __init__(
        self,
        region: str,
        address: tuple[str, int],
        folder: Path,
        processes: Processes,
    ) -> None:
        """Prepare; `region` is `global` for the tables that no region's loss takes away."""
        self._region: Final = region
        self._address: Final = address
        self._folder: Final = folder
        self._processes: Final = processes
        self._owned: Owned | None = None

    @property
    def name(self) -> str:
        """Return the part's name."""
        return f"{self._region}/emulator/objects"

    @property
    def url(self) -> str:
        """Return where it answers, to the twin alone."""
        return f"http://{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "emulator.log"
        self._owned = await self._processes.start(
            self.name,
            [sys.executable, "-m", "ministack"],
            environment=self._environment(),
            log=log,
            directory=self._folder,
        )
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_TIMEOUT_S) as client:
            for _ in range(int(START_TIMEOUT_S / PROBE_INTERVAL_S)):
                if not self._owned.is_running:
                    break
                if await self._answers(client):
                    return
                await asyncio.sleep(PROBE_INTERVAL_S)
        await self.stop()
        message = f"{self.name} did not start; {log} tells why."
        raise PartFailed(message)

    async def stop(self) -> None:
        """End it so that it writes down what it holds."""
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.stop(STOP_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return whether it runs."""
        running = self._owned is not None and self._owned.is_running
        return {"running": running, "pid": self._owned.pid if self._owned else None}

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
